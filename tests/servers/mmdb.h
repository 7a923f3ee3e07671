/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mmdb: a small country database in MaxMind's format (MaxMind DB File Format Specification 2.0): a binary tree over the
 * bits of IPv6 addresses, IPv4 below ::/96, whose leaves point at {"country": {"iso_code": CODE}}. */
#ifndef TESTS_SERVERS_MMDB_H
#define TESTS_SERVERS_MMDB_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MMDB_NODES_MAX	   4096u
#define MMDB_DATA_MAX	   4096u
#define MMDB_EMPTY	   0u	       /* no answer */
#define MMDB_LEAF	   0x80000000u /* and the offset of the data */
#define MMDB_NODE_BYTES	   8u
#define MMDB_SEPARATOR_LEN 16u

struct mmdb {
	uint32_t nodes[MMDB_NODES_MAX][2]; /* MMDB_EMPTY, the number of a node, or MMDB_LEAF */
	uint32_t node_count;
	uint8_t data[MMDB_DATA_MAX];
	size_t data_len;
	bool text_only; /* the leaves hold the code alone: no country.iso_code */
};

static inline void mmdb_init(struct mmdb *m)
{
	memset(m, 0, sizeof *m);
	m->node_count = 1;
}

static inline size_t mmdb_text(uint8_t *to, const char *text)
{
	size_t len = strlen(text);

	to[0] = (uint8_t)(2u << 5 | len);
	memcpy(to + 1, text, len);
	return len + 1;
}

static inline uint32_t mmdb_leaf(struct mmdb *m, const char *code)
{
	uint32_t at = (uint32_t)m->data_len;
	uint8_t *p = m->data + at;

	if (!m->text_only) {
		*p++ = 7u << 5 | 1u;
		p += mmdb_text(p, "country");
		*p++ = 7u << 5 | 1u;
		p += mmdb_text(p, "iso_code");
	}
	p += mmdb_text(p, code);
	m->data_len = (size_t)(p - m->data);
	return MMDB_LEAF | at;
}

/* mmdb_add: "10.0.0.0/8" or "2001:db8::/32" is in the country. Wider blocks first. false: not a block, or too much. */
static inline bool mmdb_add(struct mmdb *m, const char *block, const char *code)
{
	char text[64];
	uint8_t addr[16] = { 0 };
	unsigned bits = 0;
	uint32_t at = 0;

	if (sscanf(block, "%63[^/]/%u", text, &bits) != 2 || m->data_len + 64 > MMDB_DATA_MAX)
		return false;
	if (inet_pton(AF_INET, text, addr + 12) == 1)
		bits += 96;
	else if (inet_pton(AF_INET6, text, addr) != 1)
		return false;
	if (!bits || bits > 128 || m->node_count + bits > MMDB_NODES_MAX)
		return false;
	for (unsigned i = 0; i < bits; i++) {
		uint32_t *side = &m->nodes[at][addr[i / 8] >> (7 - i % 8) & 1u];
		uint32_t was = *side;

		if (i + 1 == bits) {
			*side = mmdb_leaf(m, code);
		} else if (was == MMDB_EMPTY || was & MMDB_LEAF) {
			*side = m->node_count;
			m->nodes[m->node_count][0] = m->nodes[m->node_count][1] = was;
			at = m->node_count++;
		} else {
			at = was;
		}
	}
	return true;
}

static inline void mmdb_number(FILE *f, unsigned type, uint32_t v)
{
	uint8_t raw[] = { (uint8_t)(type << 5 | 4u), (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
		(uint8_t)v };

	if (type == 5) { /* two bytes */
		raw[2] = (uint8_t)(5u << 5 | 2u);
		fwrite(raw + 2, 1, 3, f);
	} else {
		fwrite(raw, 1, 5, f);
	}
}

static inline void mmdb_key(FILE *f, const char *key)
{
	uint8_t text[64] = { 0 };
	size_t len = strlen(key) < 29 ? mmdb_text(text, key) : 0;

	if (len)
		fwrite(text, 1, len, f);
	else /* the length goes on in a byte */
		fprintf(f, "%c%c%s", 2 << 5 | 29, (int)strlen(key) - 29, key);
}

static inline void mmdb_write_metadata(const struct mmdb *m, FILE *f)
{
	static const uint8_t epoch[] = { 4, 2, 0x60, 0, 0, 0 }; /* an extended type, 9: 64 bits, here 4 bytes of them */

	fprintf(f, "%c%c%cMaxMind.com%c", 0xab, 0xcd, 0xef, 7 << 5 | 9);
	mmdb_key(f, "node_count"), mmdb_number(f, 6, m->node_count);
	mmdb_key(f, "record_size"), mmdb_number(f, 5, 32);
	mmdb_key(f, "ip_version"), mmdb_number(f, 5, 6);
	mmdb_key(f, "database_type"), mmdb_key(f, "Test-Country");
	mmdb_key(f, "languages"), fprintf(f, "%c%c", 0, 4); /* an array of none */
	mmdb_key(f, "binary_format_major_version"), mmdb_number(f, 5, 2);
	mmdb_key(f, "binary_format_minor_version"), mmdb_number(f, 5, 0);
	mmdb_key(f, "build_epoch"), fwrite(epoch, 1, sizeof epoch, f);
	mmdb_key(f, "description"), fputc(7 << 5, f);
}

/* mmdb_write: the file, made anew under another name and renamed. */
static inline bool mmdb_write(const struct mmdb *m, const char *path)
{
	static const uint8_t separator[MMDB_SEPARATOR_LEN];
	char other[4096];
	FILE *f;
	bool ok;

	snprintf(other, sizeof other, "%s.new", path);
	if (!(f = fopen(other, "w")))
		return false;
	for (uint32_t i = 0; i < m->node_count; i++)
		for (int side = 0; side < 2; side++) {
			uint32_t to = m->nodes[i][side], v;

			v = to == MMDB_EMPTY ? m->node_count
			    : to & MMDB_LEAF ? m->node_count + MMDB_SEPARATOR_LEN + (to & ~MMDB_LEAF)
					     : to;
			v = htonl(v);
			fwrite(&v, 1, sizeof v, f);
		}
	fwrite(separator, 1, sizeof separator, f);
	fwrite(m->data, 1, m->data_len, f);
	mmdb_write_metadata(m, f);
	ok = !ferror(f);
	return fclose(f) == 0 && ok && rename(other, path) == 0;
}

#endif
