#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ccm-exporter against made-up nodes: the text, by a strict reader of OpenMetrics that is not ours and
by promtool where they are installed, and by a small one here; HTTP clients that misbehave; the
dashboard, the alerts and the endpoint of DPDK's own exporter.
"""
import http.client
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
EXPORTER = os.path.join(ROOT, "scripts", "ccm-exporter")
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts", "lib")]

import fake_node  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools import exporter, metrics  # noqa: E402 pylint: disable=wrong-import-position

SAMPLE = re.compile(
    r'^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+-]+)$'
)
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def promtool(*args, text=None):
    """None when there is none (scripts/setup fetches it); else (status, output)."""
    program = shutil.which("promtool", path=f"{os.environ['PATH']}:{ROOT}/build-tools")
    if not program:
        return None
    done = subprocess.run([program, *args], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def read(text, openmetrics):
    """{sample name: {labels: value}}; asserts the form."""
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    if openmetrics:
        assert lines[-1] == "# EOF", lines[-1]
        lines.pop()
    found, family, kind, seen, told = {}, None, None, set(), {}
    for line in lines:
        assert line != "# EOF"
        if line.startswith("#"):
            _, what, name, rest = line.split(" ", 3)
            if name != family:
                assert name not in seen, f"{name} twice"
                seen.add(name)
                family, kind, told = name, None, {}
            assert what not in told, line
            told[what] = rest
            assert what != "UNIT" or (openmetrics and name.endswith("_" + rest)), line
            kind = rest if what == "TYPE" else kind
            continue
        match = SAMPLE.match(line)
        assert match, line
        name, labels, value = match.groups()
        assert "HELP" in told and "TYPE" in told, line
        suffix = {"counter": "_total", "info": "_info"}.get(kind, "") if openmetrics else ""
        assert name == family + suffix, (name, family, kind)
        assert kind in ("gauge", "counter", "info") and (openmetrics or kind != "info")
        assert not (kind == "counter" and not name.endswith("_total"))
        assert kind != "counter" or float(value) >= 0
        samples = found.setdefault(name, {})
        assert labels not in samples, f"{line} twice"
        samples[labels] = float(value)
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ctl", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "dpdk", "a", "dpdk_telemetry.v2")
        self.env = {**os.environ, "CCM_RUNTIME_PATH": self.folder}

    def serve(self, *args, **options):
        node = fake_node.FakeNode(self.path, *args, **options)
        self.addCleanup(node.close)
        return node

    def once(self, *args):
        with unittest.mock.patch.dict(os.environ, self.env):
            return fake_node.run_here(exporter.main, ["--once", *args])


class Text(Case):
    def test_both_formats(self):
        self.serve()
        for openmetrics in (True, False):
            done = self.once("--format", "openmetrics" if openmetrics else "text")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            found = read(done.stdout, openmetrics)
            for name, labels, value in (
                ("ccm_up", None, 1), ("ccm_node_partners_up", None, 1), ("ccm_partner_up", 'partner="2"', 1),
                ("ccm_partner_state", 'partner="2",state="up"', 1), ("ccm_partner_state", 'partner="2",state="search"', 0),
                ("ccm_partner_verdict", 'partner="2",verdict="up"', 1), ("ccm_partner_beats_total", 'partner="2"', 403),
                ("ccm_partner_last_answer_age_seconds", 'partner="2"', 0.003),
                ("ccm_partner_setup_duration_seconds", 'partner="2"', 0.000577),
                ("ccm_setup_step_duration_seconds", 'partner="2",step="read_one"', 0.0000015),
                ("ccm_partner_round_trip_seconds", 'partner="2"', 0.000307),
                ("ccm_client_partners", 'state="connected",client="nvlog"', 1),
                ("ccm_client_memory_bytes", 'client="nvlog"', 16777216), ("ccm_rdma_drops_total", 'reason="icrc"', 3),
                ("ccm_device_link_up", None, 1), ("ccm_lcore_transmit_stalled_total", None, 5), ("ccm_events_total", None, 4),
                ("ccm_boot_stage", None, 2), ("ccm_exercise_verified_bytes_total", None, 589824),
            ):  # fmt: skip
                self.assertEqual(found[name].get(labels), value, (name, labels, found[name]))
            self.assertNotIn("ccm_device_speed_bytes", found)  # not known
            for name in found:
                self.assertTrue(name.startswith("ccm_"), name)

    def test_strict_readers(self):
        self.serve()
        tried = []
        answer = promtool("check", "metrics", text=self.once("--format", "text").stdout)
        if answer:
            self.assertEqual(answer, (0, ""))
            tried.append("promtool")
        try:
            from prometheus_client.openmetrics.parser import text_string_to_metric_families
        except ImportError:
            pass
        else:
            families = list(text_string_to_metric_families(self.once().stdout))
            self.assertGreater(len(families), 50)
            tried.append("prometheus_client")
        if not tried:
            self.skipTest("neither promtool nor prometheus_client is installed")

    def test_states_of_a_partner_that_is_not_there(self):
        partner = {
            "state": "search",
            "verdict": "unreachable",
            "reason": "no_answer",
            "last_answer_ms": -1,
            "setup_us": 0,
        }
        self.serve(
            fake_node.broken(fake_node.table(), partner=partner, status={"state": "down", "partners_up": 0})
        )
        found = read(self.once().stdout, True)
        self.assertEqual(found["ccm_partner_up"]['partner="2"'], 0)
        self.assertEqual(found["ccm_node_state"]['state="down"'], 1)
        self.assertEqual(
            found["ccm_partner_reason_info"]['reason="no_answer",last_down="none",theirs="none",partner="2"'], 1
        )
        self.assertNotIn("ccm_partner_last_answer_age_seconds", found)
        self.assertNotIn("ccm_partner_setup_duration_seconds", found)

    def test_no_node(self):
        done = self.once()
        self.assertEqual(done.returncode, 3)
        self.assertIn("no ccm-node runs here", done.stderr)
        self.assertEqual(read(done.stdout, True), {"ccm_up": {None: 0}})

    def test_an_older_node(self):
        answers = fake_node.table()
        for command in ("/ccm/boot", "/ccm/reload", "/ccm/capture", "/ccm/config"):
            answers.pop(command, None)
        del answers["/ccm/status"]["control_age_ms"]
        self.serve(answers)
        found = read(self.once().stdout, True)
        self.assertEqual(found["ccm_up"], {None: 1})
        self.assertNotIn("ccm_boot_stage", found)

    def test_names_with_anything_in_them(self):
        answers = fake_node.table()
        answers["/ccm/clients"]["clients"]["client_0"]["name"] = 'a"b\\c\nd\033\u00e9'
        answers["/remu/drops"] = {'x"}\n# EOF\n': 1}
        self.serve(answers)
        found = read(self.once().stdout, True)
        self.assertIn('client="a\\"b\\\\c?d??"', found["ccm_client_ports"])
        read(self.once("--format", "text").stdout, False)

    def test_bad_sockets(self):
        for how in (
            fake_node.silent,
            fake_node.hangs_up,
            fake_node.greets_only,
            fake_node.answers_with(b"[" * 9999),
        ):
            with fake_node.FakeNode(self.path, how=how):
                start = time.monotonic()
                done = self.once("--socket", self.path, "--timeout", "0.5")
                self.assertEqual((done.returncode, read(done.stdout, True)), (3, {"ccm_up": {None: 0}}))
                self.assertLess(time.monotonic() - start, 5)


class Http(Case):
    def start(self, *args):
        """A server of its own, on any port; its number."""
        self.process = subprocess.Popen([EXPORTER, "--listen", "127.0.0.1:0", *args], env=self.env, text=True,
                                        stderr=subprocess.PIPE)  # fmt: skip
        self.addCleanup(self.process.stderr.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        return int(self.process.stderr.readline().rsplit(":", 1)[1])

    def get(self, port, path="/metrics", method="GET", headers=OPENMETRICS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.getheader("Content-Type"), reply.read().decode()
        finally:
            connection.close()

    def test_serves(self):
        node = self.serve()
        port = self.start()
        status, kind, text = self.get(port)
        self.assertEqual((status, kind), (200, metrics.OPENMETRICS))
        self.assertEqual(read(text, True)["ccm_up"], {None: 1})
        status, kind, text = self.get(port, headers={})
        self.assertEqual((status, kind), (200, metrics.TEXT))
        read(text, False)
        self.assertEqual(self.get(port, "/metrics?x=1")[0], 200)
        self.assertEqual(self.get(port, "/-/healthy")[::2], (200, "ok\n"))
        self.assertEqual(self.get(port, "/")[0], 200)
        self.assertEqual(self.get(port, "/other")[0], 404)
        self.assertEqual(self.get(port, method="HEAD")[::2], (200, ""))
        self.assertEqual(self.get(port, method="POST")[0], 501)
        # The node goes and comes back.
        node.close()
        time.sleep(exporter.FRESH_SECONDS)
        self.assertEqual(read(self.get(port)[2], True), {"ccm_up": {None: 0}})
        self.serve()
        time.sleep(exporter.FRESH_SECONDS)
        self.assertEqual(read(self.get(port)[2], True)["ccm_up"], {None: 1})
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(20), 0)

    def test_many_scrapers_ask_the_node_once(self):
        node = self.serve(how=fake_node.slow(0.01))
        port = self.start()
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(self.get(port)[0])) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(replies, [200] * 30)
        self.assertLess(node.asked.count("/ccm/status"), 15)

    def test_clients_that_do_nothing(self):
        """As many as there are places, and some garbage: others are still served in the end."""
        self.serve()
        port = self.start()
        idle = []
        for data in [b""] * exporter.CLIENTS_MAX + [b"\0\xff\r\n\r\n", b"GET " + b"x" * 70000, b"G" * 100]:
            client = socket.create_connection(("127.0.0.1", port))
            idle.append(client)
            client.sendall(data)
        self.assertEqual(self.get(port)[0], 200)
        for client in idle:
            client.close()

    def test_usage(self):
        for args in (("--listen", "x"), ("--listen", "1.2.3.4:99999"), ("--timeout", "0"), ("--bogus",)):
            self.assertEqual(self.once(*args).returncode, 64, args)
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run([EXPORTER, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"], capture_output=True,
                              text=True, check=False, env=self.env, timeout=30)  # fmt: skip
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertEqual(exporter.address("[::1]:80"), ("::1", 80))
        self.assertEqual(exporter.address(":80"), ("0.0.0.0", 80))


class Files(Case):
    """What stands in monitoring/."""

    def names(self):
        """Every metric there can be."""
        answers = fake_node.table()
        answers["/remu/stats"].update({key: 1 for key, _, _ in metrics.RDMA_COUNTERS})
        answers["/remu/port"].update({key: 1 for key, _, _ in metrics.DEVICE_COUNTERS}, link_mbps=100)
        answers["/remu/qps"]["qps"]["qp_3803446"]["srtt_ns"] = 5
        answers["/ccm/reload"].update(count=1, result="applied")
        answers["/ccm/capture"] = {"frames": 1, "dropped": 0, "bytes": 9}
        self.serve(answers)
        return set(read(self.once().stdout, True))

    def test_dashboard_and_alerts_name_what_there_is(self):
        names = self.names()
        with open(os.path.join(ROOT, "monitoring/grafana-ccm.json"), encoding="utf-8") as file:
            board = json.load(file)
        with open(os.path.join(ROOT, "monitoring/ccm.rules.yml"), encoding="utf-8") as file:
            rules = file.read()
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        expressions = [target["expr"] for panel in panels for target in panel["targets"]]
        expressions += [entry["expr"] for entry in board["annotations"]["list"]]
        self.assertGreater(len(expressions), 20)
        for text in (*expressions, rules, json.dumps(board["templating"])):
            for name in re.findall(r"\bccm_[a-z_]+", text):
                self.assertIn(name, names, text)
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        spots = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
        self.assertEqual(len(spots), len(set(spots)))
        # As rules, promtool reads the queries too.
        path = os.path.join(self.folder, "queries.yml")
        queries = [text.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$partner", ".*")
                   for text in expressions]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            rows = [{"record": f"q{i}", "expr": text} for i, text in enumerate(queries)]
            json.dump({"groups": [{"name": "queries", "rules": rows}]}, file)
        answer = promtool("check", "rules", path)
        if answer is None:
            self.skipTest("promtool is missing (package prometheus): queries are not parsed")
        self.assertEqual(answer[0], 0, answer[1])

    def test_configuration_in_the_document(self):
        """What doc/operate.md gives for prometheus.yml is one, with the rules where they are installed."""
        with open(os.path.join(ROOT, "doc/operate.md"), encoding="utf-8") as file:
            text = re.search(r"```yaml\n(.*?)```", file.read(), re.S).group(1)
        installed = "/usr/local/share/ccm/monitoring/ccm.rules.yml"
        self.assertIn(f"- {installed}\n", text)
        path = os.path.join(self.folder, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(installed, os.path.join(ROOT, "monitoring/ccm.rules.yml")))
        answer = promtool("check", "config", path)
        if answer is None:
            self.skipTest("promtool is missing (package prometheus)")
        self.assertEqual(answer[0], 0, answer[1])

    def test_alerts(self):
        with open(os.path.join(ROOT, "monitoring/ccm.rules.yml"), encoding="utf-8") as file:
            rules = re.findall(r"- alert: (\w+)", file.read())
        with open(os.path.join(ROOT, "monitoring/ccm.rules.test.yml"), encoding="utf-8") as file:
            fired = re.findall(r"alertname: (\w+)\n +exp_alerts:", file.read())
        self.assertEqual(sorted(rules), sorted(set(fired)))
        answer = promtool("check", "rules", os.path.join(ROOT, "monitoring/ccm.rules.yml"))
        if answer is None:
            self.skipTest("promtool is missing (package prometheus)")
        self.assertEqual(answer[0], 0, answer[1])
        answer = promtool("test", "rules", os.path.join(ROOT, "monitoring/ccm.rules.test.yml"))
        self.assertEqual(answer[0], 0, answer[1])

    def test_every_counter_of_the_engines_is_a_metric(self):
        with open(os.path.join(ROOT, "lib/rdma_emul/rdma_emul.h"), encoding="utf-8") as file:
            body = re.search(r"struct remu_stats \{(.*?)\n\};", file.read(), re.S).group(1)
        members = re.findall(r"uint64_t (\w+)[;\[]", body)
        self.assertGreater(len(members), 20)
        known = {key for key, _, _ in (*metrics.RDMA_COUNTERS, *metrics.RDMA_GAUGES)} | metrics.UNUSED_STATS
        self.assertEqual(set(members) - known, set())

    def test_every_field_of_telemetry_is_a_metric(self):
        """What /ccm/partners, /ccm/clients and /ccm/exercise tell: changed, some metric changes."""
        with open(os.path.join(ROOT, "app/node/tel_ccm.c"), encoding="utf-8") as file:
            source = file.read()
        tables = (("partner_fields", "/ccm/partners", "partners", "partner_2", metrics.UNUSED_PARTNER),
                  ("client_fields", "/ccm/clients", "clients", "client_0", metrics.UNUSED_CLIENT),
                  ("exercise_fields", "/ccm/exercise", None, None, {"sessions"}))  # fmt: skip
        node = self.serve()
        before = self.text()
        for table, command, group, name, unused in tables:
            body = re.search(rf"{table}\[\] = \{{(.*?)\n\}};", source, re.S).group(1)
            fields = re.findall(r'[A-Z]+\("(\w+)"', body)
            self.assertGreater(len(fields), 4)
            body = re.search(r"\nput_partner\(.*?\n\}", source, re.S).group(0)
            fields += re.findall(r'tel_put_\w+\(o, "(\w+)"', body) if name == "partner_2" else []
            for field in set(fields) - unused:
                answer = node.answers[command]
                record = answer[group][name] if group else answer
                self.assertIn(field, record)
                old, record[field] = record[field], 987654321
                self.assertNotEqual(self.text(), before, (command, field))
                record[field] = old

    def text(self):
        """The metrics without those that tell of the asking."""
        return [line for line in self.once().stdout.splitlines() if "scrape_duration" not in line]

    def test_states_are_those_of_the_program(self):
        """One sample for each, whichever is present."""
        with open(os.path.join(ROOT, "lib/ccm/ccm_names.c"), encoding="utf-8") as file:
            names = file.read()
        self.serve()
        found = read(self.once().stdout, True)
        for metric, label, prefix in (("ccm_partner_state", "state", "CCM_[A-Z]+"),
                                      ("ccm_partner_verdict", "verdict", "CCM_VERDICT_[A-Z_]+"),
                                      ("ccm_partner_advice", "advice", "CCM_ADVICE_[A-Z_]+"),
                                      ("ccm_client_partners", "state", "CCM_CLIENT_[A-Z_]+"),
                                      ("ccm_setup_step_duration_seconds", "step", "CCM_STEP_[A-Z0-9_]+")):  # fmt: skip
            known = re.findall(rf'\[{prefix}\] = "([a-z_]+)"', names)
            self.assertGreater(len(known), 2)
            told = [re.search(rf'\b{label}="([a-z_]+)"', labels).group(1) for labels in found[metric]]
            self.assertEqual(sorted(told), sorted(known), metric)
        endpoint = runpy.run_path(os.path.join(ROOT, "monitoring/dpdk-endpoint/ccm.py"))
        self.assertEqual(sorted(endpoint["STATES"]), sorted(re.findall(r'\[CCM_[A-Z]+\] = "([a-z_]+)"', names)))

    def test_endpoint_of_dpdks_exporter(self):
        path = os.path.join(ROOT, "monitoring/dpdk-endpoint/ccm.py")
        spec = importlib.util.spec_from_file_location("ccm", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        info = module.info()
        for name, (text, kind) in info.items():
            self.assertTrue(text.endswith(".") and kind in ("gauge", "counter"), name)

        class Sock:
            """As DPDK's exporter has it."""

            def __init__(self, answers):
                self.answers = answers

            def cmd(self, uri, arg=None):
                return self.answers.get(uri if arg is None else f"{uri},{arg}")

        answers = fake_node.table()
        answers["/ccm/partners"]["next"] = 1
        answers["/ccm/partners,1"] = {
            "partners": {"partner_3": {**fake_node.PARTNER, "id": 3, "state": "search"}}
        }
        found = module.metrics(Sock(answers))
        self.assertIn(("partner_state", 1, {"partner": 2, "state": "up"}), found)
        self.assertIn(("partner_state", 1, {"partner": 3, "state": "search"}), found)
        self.assertIn(("rdma_drops", 3, {"reason": "icrc"}), found)
        names = [name for name, _, _ in found]
        self.assertEqual([name for i, name in enumerate(names) if i == 0 or names[i - 1] != name],
                         list(dict.fromkeys(names)))  # fmt: skip
        self.assertLessEqual(set(names), set(info))
        module.metrics(Sock({}))  # a process without ccm
        answers["/ccm/partners,1"]["next"] = 1
        module.metrics(Sock(answers))  # pages without an end


if __name__ == "__main__":
    unittest.main()
