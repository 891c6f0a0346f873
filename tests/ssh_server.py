"""An ssh server on a free port of 127.0.0.1, which runs commands in this machine's shell until its input ends.

Run with a folder, into which it writes what a client needs, and a folder for what commands leave in temporary files.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import asyncssh

CONFIG = """\
Host device
  HostName 127.0.0.1
  Port {port}
  User tester
  IdentityFile "{folder}/key"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{folder}/known_hosts"
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
"""


async def run(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Run a client's command, with the streams of its connection."""
    pipe = subprocess.PIPE
    child = subprocess.Popen(str(process.command), shell=True, stdin=pipe, stdout=pipe, stderr=pipe)
    with contextlib.suppress(OSError, asyncssh.Error):  # the client is gone
        # Without `send_eof`: it would end both output streams when the first of them ends.
        await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr, send_eof=False)
        await process.stdout.drain()
        await process.stderr.drain()
    process.exit(await asyncio.to_thread(child.wait))


async def serve(folder: Path) -> None:
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user_key.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)
    user_key.write_public_key(folder / "authorized_keys")
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(folder / "authorized_keys"),
        process_factory=run,
        encoding=None,
    )
    port = server.get_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}")
    (folder / "config").write_text(CONFIG.format(folder=folder, port=port))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    os.environ["TMPDIR"] = sys.argv[2]
    asyncio.run(serve(Path(sys.argv[1])))
