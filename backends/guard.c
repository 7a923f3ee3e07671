/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/guard.h"

#include "backends/call.h"
#include "backends/guard_pass.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define PARTS_MAX	 10000u /* S3's bound */
#define ABORT_TIMEOUT_NS (15 * NS_PER_S)

int guard_ask(const struct backend *b, struct call *c)
{
	int rc;

	if (!c->zone_id || c->zone_id != b->zone_id || !c->check) {
		log_error("backend '%s': refused bytes of zone %u at the border of zone %u%s (I1)", b->config->name,
			c->zone_id, b->zone_id, c->check ? "" : ", which nobody vouches for");
		return errmsg_set(c->msg, -ERR_BORDER,
			"backend '%s': bytes of another zone may not go there; this is a fault of borderfs, please "
			"report it",
			b->config->name);
	}
	if ((rc = call_state(c)) < 0)
		return rc;
	return c->check(c);
}

static int ask_before_driver(const struct backend *b, struct call *c)
{
	return b->ops->caps & BACKEND_WRAPS ? 0 : guard_ask(b, c);
}

int guard_pass_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	int rc = ask_before_driver(b, c);

	return rc < 0 ? rc : b->ops->put(b, c, key, source);
}

int guard_pass_part(struct backend *b, struct call *c, struct multipart *upload, unsigned number, struct source *source)
{
	int rc = ask_before_driver(b, c);

	return rc < 0 ? rc : b->ops->multipart_part(b, c, upload, number, source);
}

static const char *const mode_names[] = {
	[MODE_READWRITE] = "readwrite",
	[MODE_READONLY] = "readonly",
	[MODE_FROZEN] = "frozen",
	[MODE_DRAIN] = "drain",
};

static int admit(struct backend *b, struct call *c)
{
	enum backend_mode mode = b->config->mode;
	int rc = guard_ask(b, c);

	if (!rc && mode != MODE_READWRITE)
		rc = errmsg_set(c->msg, -ERR_FROZEN, "backend '%s' takes no new objects: its mode is %s",
			b->config->name, mode_names[mode]);
	return rc;
}

/* a window on a source */
struct part {
	struct source source;
	struct source *whole;
	uint64_t base;
};

static int part_read(struct source *s, uint64_t off, void *buf, size_t len)
{
	struct part *p = container_of(s, struct part, source);

	return p->whole->read(p->whole, p->base + off, buf, len);
}

static uint64_t part_bytes(uint64_t length)
{
	uint64_t least = (length + PARTS_MAX - 1) / PARTS_MAX;

	return least > MULTIPART_PART_BYTES ? least : MULTIPART_PART_BYTES;
}

static int put_parts(struct backend *b, struct call *c, struct multipart *upload, struct source *source)
{
	uint64_t size = part_bytes(source->length);
	unsigned number = 1;
	int rc = 0;

	for (uint64_t off = 0; !rc && off < source->length; off += size, number++) {
		uint64_t left = source->length - off;
		struct part part = {
			.source = { .length = left < size ? left : size, .read = part_read },
			.whole = source,
			.base = off,
		};

		rc = guard_pass_part(b, c, upload, number, &part.source);
	}
	return rc;
}

/* The call itself may be cut, and nothing goes out for it any more; the abort carries no body. */
static void abort_upload(struct backend *b, const struct call *ended, struct multipart *upload)
{
	struct call c;

	call_init(&c);
	c.connected = ended->connected;
	c.connected_ctx = ended->connected_ctx;
	c.deadline_ns = clock_mono_ns() + ABORT_TIMEOUT_NS;
	b->ops->multipart_abort(b, &c, upload);
	call_destroy(&c);
}

static int put_multipart(struct backend *b, struct call *c, const char *key, struct source *source)
{
	struct multipart *upload = NULL;
	int rc = b->ops->multipart_begin(b, c, key, &upload);

	if (rc < 0)
		return rc;
	rc = put_parts(b, c, upload, source);
	/* completing makes the object: a placement that changed after the last part must not see it appear */
	if (!rc)
		rc = guard_ask(b, c);
	if (!rc)
		rc = b->ops->multipart_complete(b, c, upload);
	if (rc < 0)
		abort_upload(b, c, upload);
	return rc;
}

int guard_put(struct backend *b, struct call *c, const char *key, struct source *source)
{
	int rc = admit(b, c), cut;

	if (rc < 0)
		return rc;
	if (source->length > MULTIPART_BYTES && b->ops->caps & BACKEND_MULTIPART)
		rc = put_multipart(b, c, key, source);
	else
		rc = guard_pass_put(b, c, key, source);
	/* whoever cut the call relies on it having failed, also where the last answer was quicker */
	pthread_mutex_lock(&c->lock);
	cut = c->cut;
	pthread_mutex_unlock(&c->lock);
	return cut ? cut : rc;
}

/* IPv4 is judged as IPv4-mapped, whichever way it was written. */
static int to_mapped(const struct sockaddr *sa, struct in6_addr *out)
{
	if (sa->sa_family == AF_INET) {
		memset(out, 0, sizeof *out);
		out->s6_addr[10] = out->s6_addr[11] = 0xff;
		memcpy(&out->s6_addr[12], &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		*out = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
		return 0;
	}
	return -ERR_PEER_ABROAD;
}

static void address_text(const struct in6_addr *addr, char out[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(addr))
		inet_ntop(AF_INET, &addr->s6_addr[12], out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, out, INET6_ADDRSTRLEN);
}

bool guard_restricts(const struct config_backend *config)
{
	return config->zone->network_count || config->zone->country_db;
}

static const struct cidr *network_of(const struct config_zone *zone, const struct in6_addr *addr)
{
	for (size_t i = 0; i < zone->network_count; i++)
		if (cidr_match(&zone->networks[i], addr))
			return &zone->networks[i];
	return NULL;
}

static bool in_list(char *const *countries, const char *code)
{
	for (; countries && *countries; countries++)
		if (!strcmp(*countries, code))
			return true;
	return false;
}

/* Doubt is "no": a database that cannot be asked lets nobody in. */
static int check_country(const struct config_backend *config, const struct in6_addr *addr, const char *text,
	char code[COUNTRY_CODE_BYTES], struct errmsg *msg)
{
	const struct config_zone *zone = config->zone;
	struct errmsg why = { 0 };
	int rc = country_of(zone->country_db, addr, code, &why);

	if (rc < 0)
		errmsg_set(msg, -ERR_PEER_ABROAD,
			"backend '%s': in which country the server's address %s is cannot be told; nothing was sent. "
			"%s; "
			"or, if the address is right, add it to networks in [zone %s]",
			config->name, text, errmsg_text(&why, rc), zone->name);
	else if (!in_list(zone->countries, code))
		rc = errmsg_set(msg, -ERR_PEER_ABROAD,
			"backend '%s': the server's address %s is in the country %s, which is none of those of zone "
			"'%s'; "
			"nothing was sent. If the address is right, add it to networks in [zone %s]",
			config->name, text, code, zone->name, zone->name);
	errmsg_free(&why);
	return rc < 0 ? -ERR_PEER_ABROAD : 0;
}

int guard_peer(
	const struct config_backend *config, const struct sockaddr *sa, struct guard_facts *facts, struct errmsg *msg)
{
	const struct config_zone *zone = config->zone;
	char text[INET6_ADDRSTRLEN] = "of an unknown family";
	struct guard_facts unwanted = { 0 };
	struct in6_addr addr;
	bool known;

	facts = facts ? facts : &unwanted;
	memset(facts, 0, sizeof *facts);
	if (!guard_restricts(config))
		return 0;
	if ((known = to_mapped(sa, &addr) == 0)) {
		if ((facts->network = network_of(zone, &addr)))
			return 0;
		address_text(&addr, text);
	}
	if (known && zone->country_db)
		return check_country(config, &addr, text, facts->country, msg);
	return errmsg_set(msg, -ERR_PEER_ABROAD,
		"backend '%s': the server's address %s lies outside the networks of zone '%s'; nothing was sent. "
		"If the address is right, add it to networks in [zone %s]",
		config->name, text, zone->name, zone->name);
}

void guard_connected(const struct config_backend *config, struct call *c, const struct guard_facts *facts,
	const char *key, bool pinned)
{
	char network[CIDR_TEXT_BYTES];
	struct connection made = {
		.backend = config->name,
		.address = c->peer,
		.country = facts->country[0] ? facts->country : NULL,
		.key = key,
		.pinned = pinned,
	};

	if (!c->connected)
		return;
	if (facts->network) {
		cidr_text(facts->network, network);
		made.network = network;
	}
	c->connected(c->connected_ctx, &made);
}
