/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mmdb FILE BLOCK=COUNTRY...: writes a country database; wider blocks first. */
#include "tests/servers/mmdb.h"

int main(int argc, char **argv)
{
	static struct mmdb m;

	mmdb_init(&m);
	for (int i = 2; i < argc; i++) {
		char *code = strchr(argv[i], '=');

		if (code)
			*code++ = '\0';
		if (!code || strlen(code) > 28 || !mmdb_add(&m, argv[i], code)) {
			fprintf(stderr, "mmdb: %s: not BLOCK=COUNTRY, or too many\n", argv[i]);
			return 2;
		}
	}
	if (argc < 2 || !mmdb_write(&m, argv[1])) {
		fprintf(stderr, "mmdb: no file was written\n");
		return 1;
	}
	return 0;
}
