/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96 */

/* "", or digits up to max after the slash: strtoul would take signs and blanks */
static int parse_bits(const char *s, unsigned max, unsigned *bits)
{
	*bits = 0;
	if (!*s || strlen(s) > 3 || s[strspn(s, "0123456789")])
		return -EINVAL;
	*bits = (unsigned)strtoul(s, NULL, 10);
	return *bits <= max ? 0 : -EINVAL;
}

static void clear_host_bits(struct cidr *c)
{
	for (unsigned i = c->bits; i < 128; i++)
		c->addr.s6_addr[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

int cidr_parse(const char *text, struct cidr *out)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	struct in_addr v4;
	unsigned bits;

	if (len >= sizeof address)
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = 0;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, address, &v4) == 1) {
		out->addr.s6_addr[10] = out->addr.s6_addr[11] = 0xff;
		memcpy(&out->addr.s6_addr[12], &v4, sizeof v4);
		bits = 32;
		if (text[len] && parse_bits(text + len + 1, 32, &bits) < 0)
			return -EINVAL;
		bits += MAPPED_BITS;
	} else if (inet_pton(AF_INET6, address, &out->addr) == 1) {
		bits = 128;
		if (text[len] && parse_bits(text + len + 1, 128, &bits) < 0)
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	out->bits = bits;
	clear_host_bits(out);
	return 0;
}

void cidr_text(const struct cidr *c, char out[CIDR_TEXT_BYTES])
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(&c->addr) && c->bits >= MAPPED_BITS;
	size_t len;

	if (v4)
		inet_ntop(AF_INET, &c->addr.s6_addr[12], out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &c->addr, out, INET6_ADDRSTRLEN);
	len = strlen(out);
	snprintf(out + len, CIDR_TEXT_BYTES - len, "/%u", v4 ? c->bits - MAPPED_BITS : c->bits);
}

bool cidr_match(const struct cidr *c, const struct in6_addr *addr)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	/* an IPv6 block, ::/0 too, speaks of IPv6 addresses only */
	if (c->bits < MAPPED_BITS && IN6_IS_ADDR_V4MAPPED(addr))
		return false;
	if (memcmp(&c->addr, addr, whole) != 0)
		return false;
	return !rest || ((c->addr.s6_addr[whole] ^ addr->s6_addr[whole]) & mask) == 0;
}
