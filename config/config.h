/* SPDX-License-Identifier: GPL-3.0-or-later */
/* config: the INI text (DESIGN §7, read by inih) as checked structures.
 *
 * config_load reads the file and its includes, checks everything that can be checked without a store or a network,
 * and returns a whole configuration or none. A configuration is immutable once loaded and counted by reference, so
 * that a reload swaps one pointer while transfers finish with the one they started with. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* where a thing was written: for messages, explain and lint */
struct config_origin {
	const char *file; /* absolute */
	int line;
};

enum zone_kind { ZONE_DOMESTIC, ZONE_FOREIGN };
enum export_policy { EXPORT_DENY, EXPORT_APPROVE, EXPORT_ALLOW }; /* from tight to loose */
enum backend_mode { MODE_READWRITE, MODE_READONLY, MODE_FROZEN, MODE_DRAIN };
enum s3_addressing { ADDRESSING_PATH, ADDRESSING_VIRTUAL_HOST };
enum swift_auth_version { SWIFT_AUTH_1, SWIFT_AUTH_3 };

/* an address block; IPv4 is kept as IPv4-mapped IPv6, so that one comparison serves both */
struct cidr {
	struct in6_addr addr;
	unsigned bits; /* 0..128, of the mapped form */
};

/* from a minute of the day up to another, local time; from > to: over midnight */
struct config_hours {
	unsigned from, to; /* minutes: 0..1440 */
};

struct config_backend {
	char *name;
	char *type;			/* "local", "s3", "swift", "sftp", "webdav", "azure": others are refused */
	char *endpoint;			/* URL without a trailing slash (swift: auth-url); NULL for local */
	char *path;			/* local: absolute directory */
	char *region, *bucket, *prefix; /* prefix: "" or "a/b/"; bucket of swift: container; region: NULL for none */
	enum s3_addressing addressing;
	char *access_key;
	char *secret_key_file;	 /* absolute; relative ones are relative to the INI file */
	char *user;		 /* swift: "ACCOUNT:USER" for version 1 */
	char *directory;	 /* sftp: absolute, on the server */
	char *key_file;		 /* sftp: the private key; azure: the account's; absolute */
	char **host_keys;	 /* sftp: "SHA256:..." without padding; NULL-terminated; may be empty */
	char *known_hosts_file;	 /* sftp: absolute or NULL */
	char *password_file;	 /* absolute or NULL */
	char *secret_credential; /* a name of systemd's, in place of the file with the secret; or NULL */
	char **secret_command;	 /* argv, argv[0] absolute; the same; or NULL */
	char *sas_file;		 /* azure: in place of key_file; absolute or NULL */
	enum swift_auth_version auth_version;
	char *project, *domain, *application_credential; /* of version 3; NULL: none */
	char *interface;				 /* "public" */
	char *storage_url;				 /* as endpoint, or NULL: what the login service says */
	char *ca_file;					 /* absolute or NULL */
	char *client_cert_file, *client_key_file;	 /* both or none; absolute */
	char **pins; /* base64 SHA-256 of the public key; NULL-terminated; may be empty */
	enum backend_mode mode;
	int64_t connect_timeout_ns, timeout_ns; /* timeout: without any progress */
	unsigned connections;			/* requests at once */
	uint64_t upload_limit, download_limit;	/* bytes a second, 0: none */
	struct config_hours *limit_hours;	/* when they hold */
	size_t limit_hours_count;		/* 0: always */
	struct config_zone *zone;
	struct config_origin origin;
};

#define CONFIG_PACK_MAX	     (1u << 20)
#define CONFIG_APPROVALS_MAX 100

struct country_db; /* config/country.h */

struct config_zone {
	char *name;
	enum zone_kind kind;
	char **countries; /* ISO 3166 alpha-2, upper case; NULL-terminated */
	char *country_db_file;
	struct country_db *country_db; /* of that file; NULL: countries are not checked */
	struct cidr *networks;
	size_t network_count; /* 0, and no country_db: no restriction by address */
	struct config_backend **backends;
	size_t backend_count;
	unsigned copies;
	enum export_policy export;	    /* domestic zones: on leaving; default deny */
	struct config_origin export_origin; /* where that is written, by root's policy too; else the section */
	char **approvers;
	unsigned approvals;
	bool padme;
	uint64_t pack_bytes; /* blocks smaller than this share objects; 0: none do */
	struct config_origin origin;
};

/* What the files of one owner may hold. */
struct config_quota {
	char *name;
	char *owner; /* as written: a user's or group's name or number */
	bool group;
	uint32_t id;
	uint64_t bytes_max, inodes_max; /* 0: no bound */
	struct config_origin origin;
};

struct rules; /* config/rules.h */

struct config {
	char *file; /* absolute */
	char *name, *store;
	struct config_zone *home;
	uint64_t cache_bytes;
	uint64_t bytes_max, inodes_max; /* of all files; 0: no bound */
	uint64_t audit_lines;		/* of the audit log, in the database; older ones are in sealed files */
	int64_t settle_ns, max_delay_ns;
	uint64_t block_bytes;		  /* used at init only; 4 MiB */
	char *passphrase_file, *key_file; /* or NULL */
	char *approvers_socket;		  /* absolute, or NULL */
	struct config_zone **zones;
	size_t zone_count;
	struct config_backend **backends;
	size_t backend_count;
	struct config_quota **quotas;
	size_t quota_count;
	struct rules *rules;
};

/* One finding, with its place. */
struct config_message {
	bool error; /* else a warning */
	char *file;
	int line;
	char *text; /* what is wrong and what was expected */
};
struct config_messages {
	struct config_message *v;
	size_t count;
};

/* config_load: reads file; *out is NULL on any error. Every error and warning found (not only the first) is appended to
 * msgs, sorted by file and line. What is included and cannot be read is an error too: a rule is never lost in silence
 * (I1). Blocks on the local disk. 0, -ERR_CONFIG, -errno where the file cannot be read (also
 * a message). The caller drops its reference with config_put. */
int config_load(struct config **out, const char *file, struct config_messages *msgs);
struct config *config_get(struct config *);
void config_put(struct config *); /* accepts NULL */

/* config_find: the file for a name: NAME itself if it holds a slash or ends in .ini, else
 * ~/.config/borderfs/NAME.ini, then /etc/borderfs/NAME.ini. NULL name: the only *.ini in the first of these
 * directories that has any. malloc'd path, or NULL with a sentence in msg. */
char *config_find(const char *name, struct errmsg *msg);

/* config_locate: the store (or another path in [filesystem]: config_locate_path, by its key) that a file names, though
 * the rest of it may be wrong: for commands that ask a running
 * daemon. Includes are not followed. malloc'd; -ENOENT where it names none, -ENOTSUP for what is no regular file,
 * -errno. */
int config_locate(const char *file, char **store);
int config_locate_path(const char *file, const char *key, char **path);

/* config_check_mountpoint: whether what lives by this configuration may be mounted on the directory: -ERR_CONFIG, with
 * a sentence, where that is, holds or lies in the store or the directory of a local backend, by whatever name: it would
 * be stored in itself. Blocks on the disks of these. */
int config_check_mountpoint(const struct config *, const char *directory, struct errmsg *);

struct config_zone *config_zone_find(const struct config *, const char *name);
struct config_backend *config_backend_find(const struct config *, const char *name);

/* config_backend_place: where its objects are, "type endpoint bucket /prefix" with whatever else tells one such place
 * from another (or "type path"), as one line, malloc'd: where one is the start of another's, it holds the other.
 * config_backend_identity: the place and the zone: what I1 forbids to change in place. */
char *config_backend_place(const struct config_backend *);
char *config_backend_identity(const struct config_backend *);
/* config_baseline: the policy of this configuration that may not be loosened silently (zones, their kind and export,
 * rules' export), in one canonical text; appended to out. */
void config_baseline(const struct config *, struct buf *out);

/* config_lint: warnings about tags and rules that are allowed but can hardly be meant (never deciding, contradicting
 * each other, misspelt), into msgs, which stays sorted. Takes seconds for ten thousand rules: for `rules check`.
 * -ENOMEM. */
int config_lint(const struct config *, struct config_messages *msgs);

void config_messages_print(const struct config_messages *, struct buf *out); /* file:line: error: text */
void config_messages_free(struct config_messages *);
bool cidr_match(const struct cidr *, const struct in6_addr *);
#define CIDR_TEXT_BYTES (INET6_ADDRSTRLEN + 4)
/* cidr_text: as cidr_parse reads it. */
void cidr_text(const struct cidr *, char out[CIDR_TEXT_BYTES]);
int cidr_parse(const char *text, struct cidr *out); /* "10.20.0.0/16", "2001:db8::/32", a bare address; -EINVAL */

#endif
