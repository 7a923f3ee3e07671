/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commands: each in the file of its name, cmd_NAME.c. */
#ifndef FS_CLI_COMMANDS_H
#define FS_CLI_COMMANDS_H

#include "fs/cli/cli.h"

extern const struct cli_command cmd_init, cmd_mount, cmd_umount, cmd_status, cmd_sync, cmd_where, cmd_explain,
	cmd_tag_add, cmd_tag_rm, cmd_tag_ls, cmd_rules_check, cmd_rules_list, cmd_rules_test, cmd_rules_plan,
	cmd_reload, cmd_report, cmd_audit_show, cmd_audit_verify, cmd_cache_drop, cmd_cache_show, cmd_cache_pin,
	cmd_cache_unpin, cmd_export_list, cmd_export_approve, cmd_export_deny, cmd_export_withdraw, cmd_move, cmd_drain,
	cmd_audit_key, cmd_audit_receipt, cmd_help, cmd_version;

/* mount_helper: as mount(8) and mount.fuse call us: SOURCE DIRECTORY [-sfnv] [-N ns] [-t type] [-o opts], argv[1] on.
 */
int mount_helper(int argc, char **argv);

#endif
