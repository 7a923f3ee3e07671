/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guard: the border. The one function through which bytes reach a driver (I1), and the check of every peer (I2). */
#ifndef BACKENDS_GUARD_H
#define BACKENDS_GUARD_H

#include "backends/backend.h"
#include "config/country.h"

#include <sys/socket.h>

/* guard_put: sends a body to a backend. Refuses with -ERR_BORDER, and logs at error level, unless call->zone_id is the
 * backend's zone; refuses -ERR_FROZEN by the backend's mode; asks call->check immediately before each request that
 * carries a body, each part of a multipart upload and each retry too, and ends with what it returned (usually
 * -ERR_REVOKED). call->check must not be NULL. Bodies above MULTIPART_BYTES go in parts where the driver can; an upload
 * cut short is aborted. Blocks on the network. When it fails the object may nevertheless be on the backend: the caller
 * queues the key's deletion. */
int guard_put(struct backend *, struct call *, const char *key, struct source *);

/* What let an address in. */
struct guard_facts {
	const struct cidr *network; /* of the zone; or NULL */
	char country[COUNTRY_CODE_BYTES];
};

/* guard_peer: whether the address lies in the zone's networks, or, by its country-db, in its countries: 0, or
 * -ERR_PEER_ABROAD with a sentence that names the backend, the address and the zone; that too where the country cannot
 * be told. A zone with neither lets everybody in. facts may be NULL. IPv4-mapped IPv6 addresses are judged as IPv4.
 * Called by every driver that opens sockets, before connect and again before the first byte of each request. May read
 * the local disk. */
int guard_peer(const struct config_backend *, const struct sockaddr *, struct guard_facts *, struct errmsg *);
/* guard_connected: by every driver that opens sockets, when a new connection is there and its server is who it should
 * be, and before the first request: tells the call's owner. key and pinned as in struct connection. */
void guard_connected(
	const struct config_backend *, struct call *, const struct guard_facts *, const char *key, bool pinned);

/* guard_restricts: whether guard_peer refuses anybody. */
bool guard_restricts(const struct config_backend *);

#endif
