/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backends/xml.h"

#include "base/err.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX	8u
#define NAME_MAX_BYTES	63u
#define VALUE_MAX_BYTES 8192u /* a key of 1,024 bytes, each encoded in three; a token */
#define SPACE_END	'\n'  /* between a namespace and a name: in no name */

struct xml {
	XML_Parser parser;
	const struct xml_format *format;
	char names[DEPTH_MAX][NAME_MAX_BYTES + 1];
	unsigned depth;
	struct buf value;
	int rc; /* the first error */
};

static void stop(struct xml *x, int rc)
{
	if (!x->rc)
		x->rc = rc;
	XML_StopParser(x->parser, XML_FALSE);
}

/* the name without its namespace; "" where that is another than the format's */
static const char *local_name(const struct xml *x, const char *name)
{
	const char *end = strrchr(name, SPACE_END), *space = x->format->space;
	size_t len = end ? (size_t)(end - name) : 0;

	if (space && (strlen(space) != len || memcmp(space, name, len) != 0))
		return "";
	return end ? end + 1 : name;
}

static void XMLCALL on_start(void *arg, const XML_Char *qualified, const XML_Char **attributes)
{
	struct xml *x = arg;
	const char *name = local_name(x, qualified);

	(void)attributes;
	if (x->depth >= DEPTH_MAX || strlen(name) > NAME_MAX_BYTES || (!x->depth && strcmp(name, x->format->root))) {
		stop(x, -ERR_PROTOCOL);
		return;
	}
	strcpy(x->names[x->depth++], name);
	buf_reset(&x->value);
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct xml *x = arg;

	if (x->rc)
		return;
	if (x->value.len + (size_t)len > VALUE_MAX_BYTES)
		stop(x, -ERR_PROTOCOL);
	else
		buf_put(&x->value, text, (size_t)len);
}

static void XMLCALL on_end(void *arg, const XML_Char *qualified)
{
	struct xml *x = arg;
	const char *value = x->value.data ? (const char *)x->value.data : "";
	int rc = x->value.err;

	(void)qualified;
	if (x->rc)
		return;
	x->depth--;
	if (!rc && x->depth && x->format->leaf)
		rc = x->format->leaf(x->format->ctx, x->names[x->depth - 1], x->names[x->depth], value);
	if (rc < 0)
		stop(x, rc);
	buf_reset(&x->value);
}

/* No protocol of ours has document types; whoever sends one wants entities expanded. */
static void XMLCALL on_doctype(
	void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(arg, -ERR_PROTOCOL);
}

int xml_new(struct xml **out, const struct xml_format *format)
{
	struct xml *x = calloc(1, sizeof *x);

	*out = x;
	if (!x || !(x->parser = XML_ParserCreateNS("UTF-8", SPACE_END)))
		return -ENOMEM;
	x->format = format;
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	return 0;
}

void xml_free(struct xml *x)
{
	if (!x)
		return;
	if (x->parser)
		XML_ParserFree(x->parser);
	buf_free(&x->value);
	free(x);
}

static int parse(struct xml *x, const void *text, size_t len, int last)
{
	if (!x->rc && XML_Parse(x->parser, text, (int)len, last) != XML_STATUS_OK && !x->rc)
		x->rc = XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -ERR_PROTOCOL;
	return x->rc;
}

int xml_feed(struct xml *x, const void *text, size_t len)
{
	return len > XML_BYTES_MAX ? -ERR_PROTOCOL : parse(x, text, len, 0);
}

int xml_end(struct xml *x)
{
	return parse(x, "", 0, 1);
}

int xml_read(const struct xml_format *format, const void *text, size_t len)
{
	struct xml *x;
	int rc = xml_new(&x, format);

	if (!rc && len)
		rc = xml_feed(x, text, len);
	if (!rc)
		rc = xml_end(x);
	xml_free(x);
	return rc;
}

int xml_keep(char **to, const char *value)
{
	free(*to);
	return (*to = strdup(value)) ? 0 : -ENOMEM;
}

void xml_keep_printable(char *to, size_t len, const char *value)
{
	snprintf(to, len, "%s", value);
	for (; *to; to++)
		if ((unsigned char)*to < ' ' || (unsigned char)*to >= 127)
			*to = '?';
}

int xml_size(const char *s, uint64_t *out)
{
	char *end;

	if (!*s || strspn(s, "0123456789") != strlen(s))
		return -ERR_PROTOCOL;
	errno = 0;
	*out = strtoull(s, &end, 10);
	return errno || *out > INT64_MAX ? -ERR_PROTOCOL : 0;
}
