#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swift's servers from python3-swift alone: no systemd, no /etc/swift, no user of their own.

swiftd.py proxy|account|container|object CONF   run one in the foreground; logs go to stderr
swiftd.py rings ETC PORT                        write the three rings of one node: object at PORT, container, account
"""
import os
import sys


def make_rings(etc, port):
    from swift.common.ring import RingBuilder

    for kind in ("object", "container", "account"):
        builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
        builder.add_dev({
            "id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "d1", "meta": "",
            "ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port,
        })
        builder.rebalance()
        builder.get_ring().save(f"{etc}/{kind}.ring.gz")
        port += 1


def serve(role, conf):
    from swift.common import constraints, utils
    from swift.common.wsgi import run_wsgi

    utils.set_swift_dir(os.path.dirname(conf))
    constraints.reload_constraints()
    options = {"verbose": True}
    if role == "object":
        from swift.obj import server

        options["global_conf_callback"] = server.global_conf_callback
    return run_wsgi(conf, role + "-server", **options)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "rings":
        make_rings(sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) == 3:
        sys.exit(serve(sys.argv[1], os.path.abspath(sys.argv[2])))
    else:
        sys.exit(__doc__)
