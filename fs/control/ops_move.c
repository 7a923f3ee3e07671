/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders to empty a backend: what they would do, their beginning and end, and how they go. */
#include "fs/control/facts.h"
#include "fs/control/ops.h"
#include "fs/control/sock.h"
#include "fs/place/receipt.h"

#include <errno.h>

#define FOLLOW_NS (500 * NS_PER_MS)

static struct transfer *transfer_of(const struct request *r)
{
	const struct control *c = r->ctx;

	return core_transfer(c->options.core);
}

static const char *text_of(const struct request *r, const char *key)
{
	return json_string_value(json_object_get(r->body, key));
}

static int put_all(json_t *to, json_t *facts)
{
	int rc = facts && json_object_update(to, facts) == 0 ? 0 : -ENOMEM;

	json_decref(facts);
	return rc;
}

/* The source is named, and the moment can be one. */
static int check_request(struct request *r, const char **from, int64_t *deadline_s)
{
	const json_t *deadline = json_object_get(r->body, "deadline_s");

	*from = text_of(r, "from");
	*deadline_s = json_integer_value(deadline);
	return !*from || (deadline && !json_is_integer(deadline)) || *deadline_s < 0 ? -EINVAL : 0;
}

int op_move_plan(struct request *r)
{
	struct transfer_move_plan p;
	const char *from;
	int64_t deadline_s;
	int rc = check_request(r, &from, &deadline_s);

	if (rc < 0 || (rc = transfer_move_plan(transfer_of(r), from, text_of(r, "to"), &p, r->msg)) < 0)
		return rc;
	rc = put_all(r->last, facts_move_plan(&p, deadline_s, clock_real_ns() / NS_PER_S));
	transfer_move_plan_free(&p);
	return rc;
}

int op_move(struct request *r)
{
	const char *from;
	int64_t deadline_s;
	uid_t uid = 0;
	int rc = check_request(r, &from, &deadline_s);

	if (rc == 0)
		rc = sock_peer(r->sock, NULL, &uid);
	return rc < 0 ? rc : transfer_move_begin(transfer_of(r), from, text_of(r, "to"), uid, deadline_s, r->msg);
}

int op_move_cancel(struct request *r)
{
	return transfer_move_cancel(transfer_of(r), text_of(r, "from"), r->msg);
}

/* One line; *under_way tells whether there will be other ones. */
static int add_move(struct request *r, json_t *to, bool *under_way)
{
	struct transfer_move m;
	int rc = transfer_move_status(transfer_of(r), &m);

	*under_way = false;
	if (rc == -ENOENT)
		return errmsg_set(r->msg, rc, "no backend was ever emptied here");
	if (rc < 0)
		return rc;
	*under_way = m.order.state == MOVE_UNDER_WAY;
	rc = put_all(to, facts_move(&m, clock_real_ns() / NS_PER_S));
	transfer_move_free(&m);
	return rc;
}

/* With "follow": a line now and then until the order has ended. */
int op_move_status(struct request *r)
{
	bool follow = json_is_true(json_object_get(r->body, "follow")), under_way;
	int rc = add_move(r, r->last, &under_way);

	while (rc == 0 && follow && under_way) {
		json_t *line = json_object();

		rc = line ? add_move(r, line, &under_way) : -ENOMEM;
		if (rc == 0)
			rc = request_send(r, line);
		else
			json_decref(line);
		if (rc == 0 && under_way)
			rc = request_wait(r, -1, clock_mono_ns() + FOLLOW_NS);
	}
	return rc == 0 && follow ? add_move(r, r->last, &under_way) : rc;
}

/* The public key of what is signed. */
int op_audit_key(struct request *r)
{
	struct control *c = r->ctx;
	char key[RECEIPT_KEY_TEXT];
	struct audit_log log;
	int rc;

	core_audit(c->options.core, &log);
	if ((rc = receipt_key(log.keyring, key)) < 0)
		return rc;
	return json_object_set_new(r->last, "key", json_string(key)) < 0 ? -ENOMEM : 0;
}
