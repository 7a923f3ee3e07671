/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inih tells a handler neither the line nor that a section began, cuts long section names and lines in silence, and
 * returns one error only. So lines are handed to it one by one by a reader that counts them, refuses what inih would
 * cut, and follows each section's header with a marker entry. */
#include "config/doc.h"

#include "config/message.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16 << 20)
#define LINE_BYTES_MAX 65000
#define HEADER_MAX     48 /* what inih keeps of a section's header */

static const char blanks[] = " \t\r\n\v\f";
/* cannot be written in a file: doc_line refuses control characters other than the blanks */
static const char marker[] = "\001";
static const char bad_section[] = "\002";

struct doc_reader {
	struct doc *doc;
	struct config_messages *msgs;
	const char *file;
	const char *p, *end;
	int line;	  /* of what was handed over last; 0 before */
	bool marker_next; /* the line was a header */
	bool pending;	  /* the line must lead to a call of the handler, and has not yet */
	bool failed;
	int err;
};

static void once_options(void)
{
	ini_allow_multiline = false; /* an indented key would silently become part of the value above */
	ini_allow_inline_comments = true;
	ini_use_stack = false; /* its stack buffer has a size fixed at build time, 200 in Debian */
	ini_max_line = ini_initial_alloc = LINE_BYTES_MAX + 8;
	ini_stop_on_first_error = false;
}

static void __attribute__((format(printf, 2, 3))) line_error(struct doc_reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	message_add(r->msgs, true, r->file, r->line, "%s", text);
	r->failed = true;
}

/* what is wrong with a header that starts at '[', or NULL; stricter than inih, which ignores what follows the ']' */
static const char *header_fault(const char *s, const char *end)
{
	const char *close = s;

	while (close < end && *close != ']' && *close != ';')
		close++;
	if (close == end || *close != ']')
		return "a section's header must end with ']'";
	if (close - s - 1 > HEADER_MAX)
		return "a section's header can hold at most 48 bytes";
	for (s = close + 1; s < end && strchr(blanks, *s); s++)
		;
	return s == end || *s == ';' || *s == '#' ? NULL : "nothing may follow the ']' of a section's header";
}

/* the next line of the text; *len is without the newline */
static const char *next_line(struct doc_reader *r, size_t *len)
{
	const char *line = r->p, *newline;

	newline = memchr(line, '\n', (size_t)(r->end - line));
	*len = (size_t)((newline ? newline : r->end) - line);
	r->p = newline ? newline + 1 : r->end;
	r->line++;
	return line;
}

/* the place of a byte that is in no text, from 1; 0: there is none */
static size_t control_at(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == 127 || ((unsigned char)s[i] < ' ' && (!s[i] || !strchr(blanks, s[i]))))
			return i + 1;
	return 0;
}

static void settle_line(struct doc_reader *r)
{
	if (r->pending)
		line_error(r, "expected [section] or key = value");
	r->pending = false;
}

/* copies one line for inih; false: leave it out */
static bool hand_over(struct doc_reader *r, const char *line, size_t len, char *out)
{
	size_t lead = 0, control = control_at(line, len);
	const char *fault;

	if (control) {
		line_error(r, "byte %zu of the line is a control character (%02x): is this a text file?", control,
			(unsigned char)line[control - 1]);
		return false;
	}
	while (lead < len && strchr(blanks, line[lead]))
		lead++;
	if (lead == len || line[lead] == ';' || line[lead] == '#')
		return false;
	if (len > LINE_BYTES_MAX) {
		line_error(r, "the line is longer than %d bytes", LINE_BYTES_MAX);
		return false;
	}
	if (line[lead] == '[' && (fault = header_fault(line + lead, line + len))) {
		line_error(r, "%s", fault);
		memcpy(out, "[\002]\n", 5);
		return true;
	}
	r->marker_next = line[lead] == '[';
	r->pending = !r->marker_next;
	memcpy(out, line, len);
	memcpy(out + len, "\n", 2);
	return true;
}

static char *read_line(char *out, int size, void *stream)
{
	struct doc_reader *r = stream;
	const char *line;
	size_t len;

	(void)size; /* ini_max_line */
	if (r->marker_next) {
		r->marker_next = false;
		memcpy(out, "\001=\n", 4);
		return out;
	}
	settle_line(r);
	while (!r->err && r->p < r->end) {
		line = next_line(r, &len);
		if (hand_over(r, line, len, out))
			return out;
	}
	return NULL;
}

/* room for one section more; doubled whenever the count is a power of two */
static struct doc_section *grow(struct doc *d)
{
	if (d->count & (d->count - 1))
		return d->v;
	return realloc(d->v, (d->count ? 2 * d->count : 1) * sizeof *d->v);
}

static int begin_section(struct doc_reader *r, const char *header)
{
	struct doc_section s = { .origin = { r->file, r->line } }, *v;
	size_t lead = strspn(header, blanks), kind = strcspn(header + lead, blanks);
	const char *name = header + lead + kind;
	size_t len;

	name += strspn(name, blanks);
	for (len = strlen(name); len && strchr(blanks, name[len - 1]); len--)
		;
	s.kind = strndup(header + lead, kind);
	s.name = len ? strndup(name, len) : NULL;
	v = s.kind && (s.name || !len) ? grow(r->doc) : NULL;
	if (!v) {
		free(s.kind);
		free(s.name);
		return -ENOMEM;
	}
	r->doc->v = v;
	v[r->doc->count++] = s;
	return 0;
}

static int add_entry(struct doc_reader *r, const char *key, const char *value)
{
	struct doc_section *s = &r->doc->v[r->doc->count - 1];
	struct doc_entry e = { strdup(key), strdup(value), { r->file, r->line } };
	struct doc_entry *v = e.key && e.value ? realloc(s->v, (s->count + 1) * sizeof *v) : NULL;

	if (!v) {
		free(e.key);
		free(e.value);
		return -ENOMEM;
	}
	s->v = v;
	v[s->count++] = e;
	return 0;
}

static int handle(void *user, const char *section, const char *key, const char *value)
{
	struct doc_reader *r = user;

	r->pending = false;
	if (r->err)
		return 0;
	if (strcmp(key, marker) == 0)
		r->err = begin_section(r, section);
	else if (strcmp(section, bad_section) == 0)
		return 1; /* said already */
	else if (!*section)
		line_error(r, "\"%s\" stands before the first [section]", key);
	else if (!*key)
		line_error(r, "expected a key before the '='");
	else if (!*value)
		line_error(r, "\"%s\" has no value", key);
	else
		r->err = add_entry(r, key, value);
	if (strstr(value, " #"))
		message_add(r->msgs, false, r->file, r->line,
			"the '#' is part of the value: after a value only ';' begins a comment");
	return r->err == 0;
}

static int parse(struct doc *doc, const char *file, const struct buf *text, struct config_messages *msgs)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct doc_reader r = { .doc = doc, .msgs = msgs, .file = file };
	int rc;

	pthread_once(&once, once_options);
	r.p = (const char *)text->data;
	r.end = r.p + text->len;
	if (text->len >= 3 && memcmp(r.p, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	rc = ini_parse_stream(read_line, &r, handle, &r);
	if (r.err || rc == -2)
		return -ENOMEM;
	return r.failed ? -ERR_CONFIG : 0;
}

static void unreadable(
	const char *file, const struct config_origin *included, const char *why, struct config_messages *msgs)
{
	if (included)
		message_add(msgs, true, included->file, included->line, "\"include\": %s %s", file, why);
	else
		message_add(msgs, true, file, 0, "%s", why);
}

/* the whole file, which did not end up to here */
static int read_text(int fd, struct buf *text)
{
	for (;;) {
		uint8_t *to = buf_reserve(text, 1 << 16);
		ssize_t n;

		if (!to)
			return -ENOMEM;
		n = read(fd, to, 1 << 16);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		text->len += (size_t)n;
		if (text->len > FILE_BYTES_MAX)
			return -EFBIG;
	}
}

/* O_NONBLOCK: a FIFO that nobody writes to would hold us for ever */
static int open_regular(const char *file, struct stat *st)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;

	if (fd < 0)
		return errno == ENXIO ? -ENOTSUP : -errno; /* a socket, a device that is not there */
	if (fstat(fd, st) < 0)
		rc = -errno;
	else if (!S_ISREG(st->st_mode))
		rc = S_ISDIR(st->st_mode) ? -EISDIR : -ENOTSUP;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int read_regular(const char *file, struct buf *text, struct config_messages *msgs)
{
	struct stat st;
	int fd = open_regular(file, &st), rc;

	if (fd < 0)
		return fd;
	if (st.st_mode & S_IWOTH)
		message_add(msgs, false, file, 0, "can be written by every user; chmod it to 0644");
	rc = read_text(fd, text);
	close(fd);
	return rc;
}

int doc_read(struct doc *doc, const char *file, const struct config_origin *included, struct config_messages *msgs)
{
	struct buf text = BUF_INIT;
	char why[128];
	int rc;

	buf_put(&text, "", 0);
	rc = read_regular(file, &text, msgs);
	if (rc == -ENOTSUP || rc == -EISDIR) {
		unreadable(file, included, "is not a regular file", msgs);
	} else if (rc < 0) {
		snprintf(why, sizeof why, "cannot be read: %s", err_text(rc));
		unreadable(file, included, why, msgs);
	} else {
		rc = parse(doc, file, &text, msgs);
	}
	buf_free(&text);
	return rc;
}

void doc_free(struct doc *doc)
{
	for (size_t i = 0; i < doc->count; i++) {
		struct doc_section *s = &doc->v[i];

		for (size_t j = 0; j < s->count; j++) {
			free(s->v[j].key);
			free(s->v[j].value);
		}
		free(s->v);
		free(s->kind);
		free(s->name);
	}
	free(doc->v);
	memset(doc, 0, sizeof *doc);
}

const struct doc_entry *doc_entry_find(const struct doc_section *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->v[i].key, key) == 0)
			return &s->v[i];
	return NULL;
}
