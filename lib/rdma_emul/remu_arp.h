/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Answers to ARP requests (RFC 826) for our own address: peers whose RDMA is part of an operating
 * system look the MAC address up before they connect. Pure functions over the caller's frame.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Turn a request for our IPv4 address into its answer, in place; a tag (802.1Q) stays.
 *
 * Not answered: what is no request for Ethernet and IPv4, what is for another address or another
 * station, a sender that is no single station or that claims our own address, and a request whose
 * sender is not the one that sent the frame, so that nobody can aim answers at others.
 *
 * @param frame  from the Ethernet header on; changed only when the result is not 0
 * @param len    bytes
 * @param mac    our own
 * @param ip     our own IPv4 address, host order
 * @return length of the answer, bytes; 0: no answer
 */
size_t remu_arp_answer(uint8_t *frame, size_t len, const uint8_t mac[6], uint32_t ip);
