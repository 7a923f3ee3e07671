/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/country.h"

#include "base/file.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct country_db {
	char *path;
	pthread_mutex_t lock; /* of all below; a leaf. Held while the file is read and asked */
	struct stat seen;     /* the file that was read; where rc is not 0: that could not be */
	bool looked;
	int rc; /* of reading it; 0: mmdb is open */
	MMDB_s mmdb;
	struct errmsg why;
};

struct country_db *country_db_new(const char *path)
{
	struct country_db *db = calloc(1, sizeof *db);

	if (!db || !(db->path = strdup(path))) {
		free(db);
		return NULL;
	}
	pthread_mutex_init(&db->lock, NULL);
	db->rc = -ENOENT;
	return db;
}

static void forget(struct country_db *db, int rc)
{
	if (!db->rc)
		MMDB_close(&db->mmdb);
	errmsg_free(&db->why);
	db->rc = rc;
}

void country_db_free(struct country_db *db)
{
	if (!db)
		return;
	forget(db, -ENOENT);
	pthread_mutex_destroy(&db->lock);
	free(db->path);
	free(db);
}

static int unreadable(struct country_db *db, int rc)
{
	return errmsg_set(&db->why, rc, "%s cannot be read: %s; put a country database there, or correct country-db",
		db->path, err_text(rc));
}

/* libmaxminddb maps the file it is given, and a map of a file that is cut short is a fault of the processor: so it gets
 * one that nobody else has. */
static int open_copy(struct country_db *db, const struct buf *bytes)
{
	char name[32];
	int fd = memfd_create("country-db", MFD_CLOEXEC), rc;

	if (fd < 0)
		return unreadable(db, -errno);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if ((rc = file_write_full(fd, bytes->data, bytes->len)) < 0)
		rc = unreadable(db, rc);
	else if ((rc = MMDB_open(name, MMDB_MODE_MMAP, &db->mmdb)) != MMDB_SUCCESS)
		rc = errmsg_set(&db->why, rc == MMDB_OUT_OF_MEMORY_ERROR ? -ENOMEM : -ERR_FORMAT,
			"%s is damaged or no country database (%s); download it again", db->path, MMDB_strerror(rc));
	close(fd);
	return rc;
}

static int read_file(struct country_db *db)
{
	struct buf bytes = BUF_INIT;
	struct stat after;
	int rc = db->seen.st_size > (off_t)COUNTRY_DB_BYTES_MAX ? -EFBIG : 0;

	if (!rc)
		rc = file_read_all(AT_FDCWD, db->path, COUNTRY_DB_BYTES_MAX, &bytes);

	if (rc < 0 || stat(db->path, &after) < 0)
		rc = unreadable(db, rc < 0 ? rc : -errno);
	else if (!file_same(&db->seen, &after))
		rc = errmsg_set(&db->why, -ERR_STALE, "%s is being written; replace it by renaming a whole one over it",
			db->path);
	else
		rc = open_copy(db, &bytes);
	buf_free(&bytes);
	return rc;
}

static void look(struct country_db *db)
{
	struct stat now;
	bool again = db->looked;

	if (stat(db->path, &now) < 0) {
		int rc = -errno;

		forget(db, rc);
		unreadable(db, rc);
		db->looked = false;
		return;
	}
	if (db->looked && file_same(&now, &db->seen))
		return;
	forget(db, -ENOENT);
	db->seen = now;
	db->rc = read_file(db);
	/* what was being written is looked at again though it may not change any more */
	db->looked = db->rc != -ERR_STALE;
	if (!db->rc && again)
		log_info("country-db %s changed and was read again", db->path);
}

static int unknown(struct country_db *db, struct errmsg *msg)
{
	return errmsg_set(msg, -ENOENT, "%s does not know the country of that address; get a newer one", db->path);
}

static int ask(struct country_db *db, const struct in6_addr *addr, char out[COUNTRY_CODE_BYTES], struct errmsg *msg)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = *addr };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	const struct sockaddr *sa = (const void *)&v6;
	MMDB_lookup_result_s found;
	MMDB_entry_data_s code;
	int rc;

	if (IN6_IS_ADDR_V4MAPPED(addr)) {
		memcpy(&v4.sin_addr, &addr->s6_addr[12], sizeof v4.sin_addr);
		sa = (const void *)&v4;
	}
	found = MMDB_lookup_sockaddr(&db->mmdb, sa, &rc);
	if (rc == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR || (!rc && !found.found_entry))
		return unknown(db, msg);
	if (!rc)
		rc = MMDB_get_value(&found.entry, &code, "country", "iso_code", NULL);
	if (rc == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR || (!rc && !code.has_data))
		return unknown(db, msg);
	if (rc)
		return errmsg_set(
			msg, -ERR_FORMAT, "%s is damaged (%s); download it again", db->path, MMDB_strerror(rc));
	if (code.type != MMDB_DATA_TYPE_UTF8_STRING || code.data_size != COUNTRY_CODE_BYTES - 1)
		return unknown(db, msg);
	for (size_t i = 0; i < COUNTRY_CODE_BYTES - 1; i++)
		out[i] = (char)toupper((unsigned char)code.utf8_string[i]);
	out[COUNTRY_CODE_BYTES - 1] = 0;
	return 0;
}

int country_of(struct country_db *db, const struct in6_addr *addr, char out[COUNTRY_CODE_BYTES], struct errmsg *msg)
{
	int rc;

	pthread_mutex_lock(&db->lock);
	look(db);
	if (!(rc = db->rc))
		rc = ask(db, addr, out, msg);
	else
		errmsg_set(msg, rc, "%s", errmsg_text(&db->why, rc));
	pthread_mutex_unlock(&db->lock);
	return rc;
}
