-- SPDX-License-Identifier: BSD-3-Clause
--
-- Wireshark dissector for the records and directories of ccm (doc/wire-format.md), as they travel in
-- RoCEv2 READ responses and WRITEs. All fields begin with "ccm.": try the filter
--
--     ccm.phase == 6 || ccm.reason != 0
--
-- Use: wireshark -X lua_script:scripts/wireshark/ccm.lua FILE, or copy this file into the folder of
-- personal Lua plugins (Help, About, Folders). A node makes captures itself: ccm-node --pcap FILE.

local ccm = Proto("ccm", "Cluster connection manager")

local PHASES = {
	[0] = "DOWN", [2] = "SEARCH", [3] = "BOUND", [4] = "PORTS", [5] = "READY", [6] = "UP",
	[7] = "REFUSED", [8] = "LEAVING",
}
local REASONS = {
	[0] = "none", [1] = "no_answer", [2] = "link_down", [3] = "not_started", [4] = "bad_record",
	[5] = "wrong_node", [6] = "wrong_cluster", [7] = "version", [8] = "access",
	[9] = "partner_refused", [10] = "partner_leaving", [11] = "partner_restarted",
	[12] = "partner_went_back", [13] = "partner_hung", [14] = "port_map", [15] = "port_failed",
	[16] = "clients_changed", [17] = "stopped", [18] = "waiting", [19] = "port_error",
	[20] = "timing", [21] = "own_id", [22] = "conflict", [23] = "no_progress",
}
local ROLES = { [0] = "storage", [1] = "application" }

local RECORD, HEADER, ENTRY = 256, 64, 64
local MAGIC_RECORD, MAGIC_DIRECTORY = "ccmr", "ccmd"

-- Opcodes of RC.
local WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_ONLY = 6, 7, 8, 10
local READ_RESPONSES = { [13] = true, [14] = true, [15] = true, [16] = true }

local f = ccm.fields
f.operation = ProtoField.string("ccm.operation", "Operation")
f.verdict = ProtoField.string("ccm.verdict", "Verdict of a reader")

-- The record: name, offset, size, kind, text.
local record_fields = {
	{ "magic", 0, 4, "string", "Magic" },
	{ "layout", 4, 2, "dec", "Layout version" },
	{ "length", 6, 2, "dec", "Length" },
	{ "seq", 8, 8, "dec", "Sequence number" },
	{ "nonce", 16, 8, "hex", "Nonce: attempt of the sender" },
	{ "echo", 24, 8, "hex", "Echo: partner attempt that it means" },
	{ "boot_id", 32, 8, "hex", "Boot id" },
	{ "features", 40, 8, "hex", "Features" },
	{ "cluster_hash", 48, 8, "hex", "Hash of the cluster's name" },
	{ "map_hash", 56, 8, "hex", "Hash of the port map" },
	{ "partner_seq", 64, 8, "dec", "Sequence number last READ from the partner" },
	{ "beat", 72, 8, "dec", "Heartbeat" },
	{ "dir_crc", 80, 4, "hex", "CRC of the directory offered" },
	{ "dir_seen", 84, 4, "hex", "CRC of the partner's directory" },
	{ "src_id", 88, 2, "dec", "Node" },
	{ "dst_id", 90, 2, "dec", "For node" },
	{ "version_min", 92, 2, "dec", "Lowest protocol version" },
	{ "version_max", 94, 2, "dec", "Highest protocol version" },
	{ "version", 96, 2, "dec", "Agreed protocol version" },
	{ "path_mtu", 98, 2, "dec", "Path MTU for ports" },
	{ "n_ports", 100, 2, "dec", "Ports" },
	{ "boot_stage", 102, 2, "dec", "Boot stage" },
	{ "boot_progress", 104, 4, "dec", "Progress in the stage" },
	{ "phase", 108, 1, "dec", "Phase", PHASES },
	{ "reason", 109, 1, "dec", "Reason of a refusal", REASONS },
	{ "role", 110, 1, "dec", "Role", ROLES },
	{ "name", 112, 32, "string", "Name of the node" },
	{ "start_psn", 144, 4, "hex", "First PSN of its requests" },
	{ "sequences", 148, 4, "dec", "Sequences of requests begun" },
	{ "boot_name", 152, 32, "string", "Name of the boot stage" },
	{ "boot_budget_ms", 184, 4, "dec", "Longest time without progress, ms" },
	{ "boot_idle_ms", 188, 4, "dec", "Time without progress, ms" },
	{ "boot_stages", 192, 2, "dec", "Stage in which it has booted" },
	{ "beat_us", 196, 4, "dec", "Heartbeat interval, us; 0: not told" },
	{ "seq_back", 240, 8, "dec", "Sequence number, back copy" },
	{ "crc", 252, 4, "hex", "CRC-32C" },
}
local directory_fields = {
	{ "directory.magic", 0, 4, "string", "Magic" },
	{ "directory.layout", 4, 2, "dec", "Layout version" },
	{ "directory.length", 6, 2, "dec", "Length" },
	{ "directory.nonce", 8, 8, "hex", "Nonce: attempt of the sender" },
	{ "directory.echo", 16, 8, "hex", "Echo: partner attempt that it is for" },
	{ "directory.n_clients", 24, 2, "dec", "Clients" },
	{ "directory.n_ports", 26, 2, "dec", "Ports" },
	{ "directory.crc", 60, 4, "hex", "CRC-32C" },
}
local client_fields = {
	{ "client.name", 0, 32, "string", "Name" },
	{ "client.ports", 32, 2, "dec", "Ports asked for" },
	{ "client.memory", 40, 8, "dec", "Memory asked for, bytes" },
}
local port_fields = {
	{ "port.client", 0, 2, "dec", "Client, by its place in the list" },
	{ "port.index", 2, 2, "dec", "Port of that client" },
	{ "port.qpn", 4, 4, "hex", "Queue pair" },
	{ "port.psn", 8, 4, "hex", "First PSN" },
	{ "port.rkey", 12, 4, "hex", "Key of its region" },
	{ "port.va", 16, 8, "hex", "Address of its region" },
	{ "port.length", 24, 8, "dec", "Size of its region" },
}

local function declare(list)
	local makers = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32,
		[8] = ProtoField.uint64 }
	for _, row in ipairs(list) do
		local name, size, kind, text, values = row[1], row[3], row[4], row[5], row[6]
		local field
		if kind == "string" then
			field = ProtoField.string("ccm." .. name, text)
		else
			field = makers[size]("ccm." .. name, text, kind == "hex" and base.HEX or base.DEC, values)
		end
		f[name] = field
		row.field = field
	end
end
for _, list in ipairs({ record_fields, directory_fields, client_fields, port_fields }) do
	declare(list)
end

local notes = ccm.experts
notes.bad = ProtoExpert.new("ccm.bad", "Not a valid record or directory", expert.group.CHECKSUM,
	expert.severity.WARN)
notes.refused = ProtoExpert.new("ccm.refused", "The sender refuses its partner", expert.group.RESPONSE_CODE,
	expert.severity.NOTE)

local opcode_of = Field.new("infiniband.bth.opcode")
local qpn_of = Field.new("infiniband.bth.destqp")
local psn_of = Field.new("infiniband.bth.psn")

-- CRC-32C, whichever way this Lua does without signs.
local xor
if bit32 then
	xor = bit32.bxor
elseif bit then
	xor = function(a, b)
		return bit.bxor(a, b) % 4294967296
	end
else
	xor = load("return function(a, b) return a ~ b end")()
end
local crc_table = {}
for i = 0, 255 do
	local c = i
	for _ = 1, 8 do
		if c % 2 == 1 then
			c = xor((c - 1) / 2, 0x82f63b78)
		else
			c = c / 2
		end
		c = math.floor(c)
	end
	crc_table[i] = c
end

-- Of the bytes of a tvb from `first` to before `last`, going on from an earlier part.
local function crc32c(tvb, first, last, crc)
	crc = crc or 0xffffffff
	local bytes = tvb:raw(first, last - first)
	for i = 1, #bytes do
		local index = xor(crc % 256, bytes:byte(i))
		crc = xor(math.floor(crc / 256), crc_table[index])
	end
	return crc
end

local function finish(crc)
	return xor(crc, 0xffffffff)
end

-- Printable text up to the first zero, and never beyond the range.
local function text_of(range)
	return (range:raw():match("^[^%z]*"):gsub("[^ -~]", "?"))
end

local function add_fields(tree, tvb, offset, list)
	for _, row in ipairs(list) do
		local range = tvb(offset + row[2], row[3])
		if row[4] == "string" then
			tree:add(row.field, range, text_of(range))
		else
			tree:add_le(row.field, range)
		end
	end
end

-- All bytes the same, as memory that nobody has written or nobody drives.
local function is_empty(tvb)
	local bytes = tvb:raw(0, RECORD)
	return bytes == string.rep("\0", RECORD) or bytes == string.rep("\255", RECORD)
end

local function record_verdict(tvb)
	if is_empty(tvb) then
		return "empty"
	elseif tvb(4, 2):le_uint() ~= 1 or tvb(6, 2):le_uint() ~= RECORD then
		return "layout"
	elseif tvb:raw(8, 8) ~= tvb:raw(240, 8) then
		return "torn"
	elseif finish(crc32c(tvb, 0, 252)) ~= tvb(252, 4):le_uint() then
		return "crc"
	end
	return "ok"
end

local function dissect_record(tvb, pinfo, tree, operation)
	local sub = tree:add(ccm, tvb(0, RECORD))
	local verdict = record_verdict(tvb)
	sub:add(f.operation, operation):set_generated()
	sub:add(f.verdict, verdict):set_generated()
	pinfo.cols.protocol = "CCM"
	if verdict == "empty" then
		sub:append_text(", empty record")
		pinfo.cols.info = operation .. ": empty record, nobody has started there"
		return
	end
	add_fields(sub, tvb, 0, record_fields)
	local phase, reason = tvb(108, 1):uint(), tvb(109, 1):uint()
	local text = string.format("%s: %s (node %d to %d) %s, seq %s", operation, text_of(tvb(112, 32)),
		tvb(88, 2):le_uint(), tvb(90, 2):le_uint(), PHASES[phase] or "phase " .. phase,
		tostring(tvb(8, 8):le_uint64()))
	if phase == 7 then
		text = text .. ", " .. (REASONS[reason] or "reason " .. reason)
		sub:add_proto_expert_info(notes.refused)
	end
	if verdict ~= "ok" then
		text = text .. " [" .. verdict .. "]"
		sub:add_proto_expert_info(notes.bad, "A reader finds: " .. verdict)
	end
	sub:append_text(", record of " .. text_of(tvb(112, 32)))
	pinfo.cols.info = text
end

local function directory_verdict(tvb)
	local length = tvb(6, 2):le_uint()
	local entries = tvb(24, 2):le_uint() + tvb(26, 2):le_uint()
	if tvb(4, 2):le_uint() ~= 1 or length ~= HEADER + ENTRY * entries or length > tvb:len() then
		return "layout"
	end
	local crc = finish(crc32c(tvb, 64, length, crc32c(tvb, 0, 60)))
	if (crc == 0 and 1 or crc) ~= tvb(60, 4):le_uint() then
		return "crc"
	end
	return "ok"
end

local function dissect_directory(tvb, pinfo, tree, operation)
	local sub = tree:add(ccm, tvb(0, tvb:len()))
	local verdict = directory_verdict(tvb)
	local clients, ports = tvb(24, 2):le_uint(), tvb(26, 2):le_uint()
	sub:add(f.operation, operation):set_generated()
	sub:add(f.verdict, verdict):set_generated()
	sub:append_text(", directory")
	add_fields(sub, tvb, 0, directory_fields)
	local at = HEADER
	for i = 0, clients + ports - 1 do
		if at + ENTRY > tvb:len() then
			break
		end
		local list = i < clients and client_fields or port_fields
		local entry = sub:add(ccm, tvb(at, ENTRY), i < clients and "Client " .. i or "Port " .. i - clients)
		if i < clients then
			entry:append_text(": " .. text_of(tvb(at, 32)))
		end
		add_fields(entry, tvb, at, list)
		at = at + ENTRY
	end
	pinfo.cols.protocol = "CCM"
	pinfo.cols.info = string.format("%s: directory, %d clients, %d ports%s", operation, clients, ports,
		verdict == "ok" and "" or " [" .. verdict .. "]")
	if verdict ~= "ok" then
		sub:add_proto_expert_info(notes.bad, "A reader finds: " .. verdict)
	end
end

-- A directory is one WRITE of several packets: what has come of it, by flow; and by frame what to show.
local partial, complete, part, flows

function ccm.init()
	partial, complete, part, flows = {}, {}, {}, {}
end

local function flow_of(pinfo)
	return tostring(pinfo.src) .. " " .. tostring(pinfo.dst) .. " " .. qpn_of().value
end

-- Joins the packets of a directory, once, in the order in which they were captured.
local function collect(tvb, pinfo, opcode)
	local flow, psn = flow_of(pinfo), psn_of().value
	local state = partial[flow]
	if opcode == WRITE_FIRST then
		partial[flow] = nil
		if tvb:len() < HEADER or tvb:raw(0, 4) ~= MAGIC_DIRECTORY then
			return
		end
		partial[flow] = { next_psn = (psn + 1) % 16777216, bytes = tvb:bytes() }
		part[pinfo.number] = 1
		partial[flow].count = 1
		return
	end
	if not state or psn ~= state.next_psn then
		return
	end
	state.bytes:append(tvb:bytes())
	state.next_psn = (psn + 1) % 16777216
	state.count = state.count + 1
	part[pinfo.number] = state.count
	if opcode == WRITE_LAST then
		complete[pinfo.number] = state.bytes
		partial[flow] = nil
	end
end

local function dissect_parts(tvb, pinfo, tree, opcode)
	if not pinfo.visited then
		collect(tvb, pinfo, opcode)
	end
	local bytes = complete[pinfo.number]
	if bytes then
		dissect_directory(bytes:tvb("Directory"), pinfo, tree, "WRITE")
		return true
	elseif part[pinfo.number] then
		pinfo.cols.protocol = "CCM"
		pinfo.cols.info = "WRITE: directory, part " .. part[pinfo.number]
		tree:add(ccm, tvb(), "Directory, part " .. part[pinfo.number])
		return true
	end
	return false
end

local function heuristic(tvb, pinfo, tree)
	local opcode = opcode_of()
	if not opcode or tvb:len() < HEADER then
		return false
	end
	opcode = opcode.value
	local is_read = READ_RESPONSES[opcode]
	local operation = is_read and "READ response" or "WRITE"
	if opcode == WRITE_FIRST or opcode == WRITE_MIDDLE or opcode == WRITE_LAST then
		return dissect_parts(tvb, pinfo, tree, opcode)
	elseif not is_read and opcode ~= WRITE_ONLY then
		return false
	end
	local flow, magic = flow_of(pinfo), tvb:raw(0, 4)
	if magic == MAGIC_DIRECTORY then
		dissect_directory(tvb, pinfo, tree, operation)
	elseif tvb:len() < RECORD then
		return false
	elseif magic == MAGIC_RECORD then
		flows[flow] = true
		dissect_record(tvb, pinfo, tree, operation)
	elseif is_read and tvb:len() == RECORD and flows[flow] and is_empty(tvb) then
		-- Where records came before: the status of a node that has gone.
		dissect_record(tvb, pinfo, tree, operation)
	else
		return false
	end
	return true
end

ccm:register_heuristic("infiniband.payload", heuristic)
