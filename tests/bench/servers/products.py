"""Brokers from Debian, set up for fan-out on one core: nats-server, nchan in nginx, mosquitto."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.bench.servers.process import Missing, Running, free_port, start

PACKAGES = ("nats-server", "nginx-light", "libnginx-mod-nchan", "mosquitto")
INSTALL = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_NATS = """
host: 127.0.0.1
port: {door}
max_payload: 1MB
write_deadline: "10s"
max_pending: 64MB
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
"""
_NGINX = """
load_module {module};
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  nchan_shared_memory_size 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /sub {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
    location = /pub {{
      nchan_publisher websocket; nchan_channel_id bench; nchan_message_buffer_length 100; nchan_message_timeout 1m;
    }}
  }}
}}
"""
_MOSQUITTO = """
user root
listener {door} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
max_queued_messages 0
log_type error
"""


def program(name: str, *more: str) -> str:
    """Where a program is; raises `Missing`."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", *more)))
    if found is None:
        raise Missing(f"{name} is not installed: {INSTALL}")
    return found


def nats(folder: Path, cpu: int) -> Running:
    """nats-server, which as a Go program takes the one CPU that it is pinned to for all there are."""
    port, door = free_port(), free_port()
    (folder / "nats.conf").write_text(_NATS.format(port=port, door=door))
    command = [program("nats-server"), "-c", folder / "nats.conf"]
    running = start(command, folder, cpu=cpu, ports=(port, door))
    running.generator = {"port": port, "kind": "nats", "door": "nats", "door_port": door}
    return running


def nchan(folder: Path, cpu: int) -> Running:
    """nchan: published to through its WebSocket publisher, so that no round trip limits it."""
    port = free_port()
    command = [program("nginx"), "-p", folder, "-c", folder / "nginx.conf"]
    if not _NCHAN.exists():
        raise Missing(f"nchan is not installed: {INSTALL}")
    user = "root" if os.geteuid() == 0 else "nobody"
    (folder / "nginx.conf").write_text(_NGINX.format(module=_NCHAN, folder=folder, port=port, user=user))
    running = start(command, folder, cpu=cpu, ports=(port,))
    running.generator = {"port": port, "path": "/sub", "door": "ws", "door_port": port, "door_path": "/pub"}
    return running


def mosquitto(folder: Path, cpu: int) -> Running:
    """mosquitto, QoS 0."""
    port, door = free_port(), free_port()
    (folder / "mosquitto.conf").write_text(_MOSQUITTO.format(port=port, door=door))
    command = [program("mosquitto"), "-c", folder / "mosquitto.conf"]
    running = start(command, folder, cpu=cpu, ports=(port, door))
    running.generator = {"port": port, "kind": "mqtt", "subprotocol": "mqtt", "door": "mqtt", "door_port": door}
    return running
