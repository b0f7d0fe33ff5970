# What pgmaint's messages are sent to in tests: a web server with and without
# TLS, and an SMTP server that asks for STARTTLS and a password.
#
#   receiver.py FOLDER HTTPS_PORT HTTP_PORT SMTP_PORT CERTIFICATE KEY
#
# What arrives is a line of JSON in FOLDER/http or FOLDER/mail.  What is
# answered depends on the path: /fail fails, /moved leads elsewhere, /hang never
# answers, /switch fails while there is a file FOLDER/down, and /slow answers
# when there is a file FOLDER/go.

import email
import email.policy
import http.server
import json
import os
import ssl
import sys
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, https_port, http_port, smtp_port, certificate, key = sys.argv[1:]
lock = threading.Lock()


def write(kind, what):
    with lock, open(os.path.join(folder, kind), "a", encoding="utf-8") as f:
        f.write(json.dumps(what) + "\n")


def there_is(name):
    return os.path.exists(os.path.join(folder, name))


class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        status = 200
        write("http", {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})
        if self.path == "/fail":
            status = 500
        elif self.path == "/moved":
            status = 302
        elif self.path == "/switch" and there_is("down"):
            status = 503
        elif self.path == "/hang":
            while True:
                time.sleep(1)
        while self.path == "/slow" and not there_is("go"):
            time.sleep(0.05)
        self.send_response(status)
        if status == 302:
            self.send_header("location", f"http://localhost:{http_port}/elsewhere")
        self.end_headers()
        # receivers may repeat what they were sent
        self.wfile.write(str(self.headers).encode())

    def log_message(self, *args):
        pass


class Mail:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        write("mail", {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
            "headers": [k.lower() for k in message.keys()], "subject": message["subject"], "id": message["message-id"],
            "date": message["date"].datetime.isoformat(), "header_from": message["from"], "header_to": message["to"],
            "text": message.get_content().replace("\r\n", "\n"), "raw": envelope.content.decode("ascii")})
        return "250 ok"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(handled=False, success=data.login == b"pgmaint" and data.password == b"relay-password")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
http.server.ThreadingHTTPServer.daemon_threads = True
tls = http.server.ThreadingHTTPServer(("127.0.0.1", int(https_port)), Web)
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
plain = http.server.ThreadingHTTPServer(("127.0.0.1", int(http_port)), Web)
for server in tls, plain:
    threading.Thread(target=server.serve_forever, daemon=True).start()
Controller(Mail(), hostname="127.0.0.1", port=int(smtp_port), tls_context=context, require_starttls=True,
    auth_required=True, authenticator=authenticate).start()
open(os.path.join(folder, "ready"), "w").close()
while os.getppid() > 1:
    time.sleep(1)
