"""The Hub on a loopback port, as far as huggingface_hub 2 and datasets use it for data sets without Xet. For tests.

    with LoopbackHub() as hub:
        token = hub.add_user("ann", orgs=("lab",))
        ... HF_ENDPOINT=hub.url HF_TOKEN=token HF_HUB_DISABLE_XET=1 ...
        hub.requests        what was asked, in order
        hub.faults.add(Fault("commit", status=500, times=1))

Two servers, as there: the Hub, and a storage for large files on an origin of its own, reached by addresses that the Hub gave out; a
request there that brings an Authorization is refused, since a client must not carry its token off the Hub.
"""
from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from .cards import faults_of, front_matter
from .faults import Fault, Faults, stage_of
from .store import LARGE, Blob, Commit, Refusal, Repo, Store, User

__all__ = ["LoopbackHub", "Request", "environment"]

_REPO = r"(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"


@dataclass(frozen=True)
class Request:
    """One request as it came: `bytes` of its body, `status` of the answer (0: the connection was dropped)."""

    method: str
    path: str
    stage: str
    bytes: int
    status: int


class LoopbackHub:
    """The servers and what they hold. `part_bytes`: larger files are uploaded in parts; `page`: entries of a page of a listing."""

    def __init__(self, *, part_bytes: int | None = None, page: int = 1000) -> None:
        self.store, self.faults = Store(), Faults()
        self.part_bytes, self.page = part_bytes, page
        self.requests: list[Request] = []
        self.signed: dict[str, tuple[str, str, int]] = {}       # address -> (repository, sha256, part or 0)
        self.parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, kind)) for kind in (_HubHandler, _StorageHandler)]
        self._threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in self._servers]
        self.url, self.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> LoopbackHub:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.daemon_threads = True
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def add_user(self, name: str, *, orgs: tuple[str, ...] = (), role: str = "write") -> str:
        """A token."""
        token = f"hf_{name}_{role}_{secrets.token_hex(4)}"
        self.store.users[token] = User(name, orgs, role)
        return token

    def asked(self, *stages: str) -> list[Request]:
        """The requests of these stages, in order."""
        return [request for request in self.requests if request.stage in stages]

    def sign(self, repo: str, sha256: str, part: int = 0) -> str:
        """An address of the storage that works without a token."""
        key = secrets.token_hex(12)
        self.signed[key] = (repo, sha256, part)
        return f"{self.storage}/{{}}/{key}"


def _handler(hub: LoopbackHub, kind: type[_Handler]) -> type[_Handler]:
    return type(kind.__name__, (kind,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    """Reads a request whole, lets a fault that is due happen, else routes it."""

    hub: ClassVar[LoopbackHub]
    routes: ClassVar[list[tuple[str, re.Pattern[str], Callable[..., None]]]]
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True       # head and body in one packet: else each answer waits 40 ms for an acknowledgement

    def log_message(self, *_: Any) -> None:
        pass

    def _do(self) -> None:
        split = urlsplit(self.path)
        self.query = parse_qs(split.query)
        body = self._body()
        stage = stage_of(self.command, split.path)
        self.answered, self.noted = 0, (stage, len(body))
        fault = self.hub.faults.due(stage)
        try:
            if fault is not None and fault.delay_s:
                time.sleep(fault.delay_s)
            if fault is not None and not fault.late and not fault.delay_s:
                self._fail(fault)
            else:
                self.late = fault if fault is not None and fault.late else None
                self._route(split.path, body)
        finally:
            self._note()

    def _note(self) -> None:
        """In `hub.requests`, before the client has the answer."""
        if self.noted is not None:
            self.hub.requests.append(Request(self.command, urlsplit(self.path).path, *self.noted, self.answered))
            self.noted = None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _do

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _route(self, path: str, body: bytes) -> None:
        for method, pattern, function in self.routes:
            if method == self.command or method == "GET" and self.command == "HEAD":
                if found := pattern.fullmatch(path):
                    values = {key: unquote(value or "") for key, value in found.groupdict().items()}
                    try:
                        with self.hub.store.lock:
                            function(self, body, **values)
                    except Refusal as refusal:
                        self.refuse(refusal)
                    return
        self.refuse(Refusal(404, "", f"no such address: {self.command} {path}"))

    def _fail(self, fault: Fault) -> None:
        if fault.drop:
            self.close_connection = True
            return
        if fault.html:
            self.send(fault.status or 200, b"<html>a proxy's page</html>", {"Content-Type": "text/html"})
            return
        self.refuse(Refusal(fault.status, fault.code, fault.message), fault.headers)

    def refuse(self, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
        more = {"X-Error-Code": refusal.code} if refusal.code else {}
        self.json({"error": refusal.message}, refusal.status, {"X-Error-Message": refusal.message, **more, **(headers or {})})

    def json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})})

    def send(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        if (late := getattr(self, "late", None)) is not None:       # the work is done, and the answer lost
            self.late = None
            self._fail(late)
            return
        self.answered = status
        self._note()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def content(self, data: bytes, headers: dict[str, str]) -> None:
        """All of it, or the range that is asked for."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self.send(200, data, headers)
            return
        first, last = asked[1], asked[2]
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        if start >= len(data) or start > end:
            self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        self.send(206, data[start:end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"})


class _StorageHandler(_Handler):
    """Large files: put and got at signed addresses."""

    def put(self, body: bytes, key: str) -> None:
        repo, sha256, part = self._signed(key)
        if part:
            self.hub.parts.setdefault((repo, sha256), {})[part] = body
        elif hashlib.sha256(body).hexdigest() != sha256:
            raise Refusal(400, "", "the content does not match its sha256")
        else:
            self.hub.store.repos[repo].objects[sha256] = body
        self.send(200, b"", {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})

    def get(self, body: bytes, key: str) -> None:
        repo, sha256, _ = self._signed(key)
        self.content(self.hub.store.repos[repo].objects[sha256], {"ETag": f'"{sha256}"'})

    def _signed(self, key: str) -> tuple[str, str, int]:
        if "Authorization" in self.headers:
            raise Refusal(400, "", "a token was carried to the storage")
        if key not in self.hub.signed:
            raise Refusal(403, "", "the address is not signed")
        return self.hub.signed[key]

    routes: ClassVar = [("PUT", re.compile("/upload/(?P<key>[^/]+)"), put), ("GET", re.compile("/content/(?P<key>[^/]+)"), get)]


class _HubHandler(_Handler):
    """The API, git-LFS and the files."""

    @property
    def user(self) -> User | None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return self.hub.store.user(token if kind == "Bearer" and token else None)

    def whoami(self, body: bytes) -> None:
        if (user := self.user) is None:
            raise Refusal(401, "", "Invalid username or password.")
        self.json({"type": "user", "id": user.name, "name": user.name, "fullname": user.name.title(), "orgs": [
            {"type": "org", "name": org, "roleInOrg": "write"} for org in user.orgs],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": user.role}}})

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        if asked["type"] != "dataset":
            raise Refusal(400, "", "only data sets here")
        user = self.user
        owner = asked.get("organization") or (user.name if user else "")
        name, private = f"{owner}/{asked['name']}", asked.get("visibility") == "private" or bool(asked.get("private"))
        try:
            repo = self.hub.store.create(name, user, private)
        except Refusal as refusal:
            if refusal.status != 409:
                raise
            self.json({"error": refusal.message, "url": f"{self.hub.url}/datasets/{name}"}, 409, {"X-Error-Message": refusal.message})
            return
        self.json({"url": f"{self.hub.url}/datasets/{repo.name}", "name": repo.name, "id": repo.name})

    def validate(self, body: bytes) -> None:
        faults = faults_of(json.loads(body)["content"])
        self.json({"errors": [{"message": fault} for fault in faults], "warnings": []}, 400 if faults else 200)

    def info(self, body: bytes, repo: str, revision: str = "") -> None:
        held = self.hub.store.readable(repo, self.user)
        commit = held.resolve(revision or "main")
        card = commit.files.get("README.md")
        try:
            data = front_matter(card.content.decode()) if card else {}
        except ValueError:
            data = {}
        self.json({"_id": hashlib.sha1(repo.encode()).hexdigest()[:24], "id": repo, "author": repo.partition("/")[0], "sha": commit.oid,
                   "lastModified": commit.shown_date, "private": held.private, "gated": False, "disabled": False,
                   "downloads": 0, "likes": 0, "tags": data.get("tags", []), "cardData": data,
                   "siblings": [{"rfilename": path} for path in sorted(commit.files)]})

    def tree(self, body: bytes, repo: str, revision: str, path: str = "") -> None:
        commit = self.hub.store.readable(repo, self.user).resolve(revision)
        entries = _entries(commit, path, recursive=self._flag("recursive"))
        if not entries and path:
            raise Refusal(404, "EntryNotFound", f'"{path}" does not exist on "{revision}"')
        start = int(self.query.get("cursor", ["0"])[0])
        shown, headers = entries[start:start + self.hub.page], {}
        if start + self.hub.page < len(entries):
            again = "&".join(f"{key}={quote(values[0])}" for key, values in self.query.items() if key != "cursor")
            headers["Link"] = f'<{self.hub.url}{urlsplit(self.path).path}?{again}&cursor={start + self.hub.page}>; rel="next"'
        self.json(self._dated(shown, commit, self._flag("expand")), headers=headers)

    def paths_info(self, body: bytes, repo: str, revision: str) -> None:
        commit = self.hub.store.readable(repo, self.user).resolve(revision)
        form = json.loads(body) if "json" in self.headers.get("Content-Type", "") else parse_qs(body.decode())
        wanted = form.get("paths", [])
        found = [entry for entry in _entries(commit, "", recursive=True) if entry["path"] in ([wanted] if isinstance(wanted, str) else wanted)]
        self.json(self._dated(found, commit, form.get("expand") in (["true"], ["True"], True)))

    def refs(self, body: bytes, repo: str) -> None:
        held = self.hub.store.readable(repo, self.user)
        listed: dict[str, list[dict[str, str]]] = {"heads": [], "tags": []}
        for ref, oid in sorted(held.refs.items()):
            kind, _, name = ref.partition("/")
            listed[kind].append({"name": name, "ref": f"refs/{ref}", "targetCommit": oid})
        self.json({"branches": listed["heads"], "tags": listed["tags"], "converts": []})

    def commits(self, body: bytes, repo: str, revision: str) -> None:
        history = self.hub.store.readable(repo, self.user).history(revision)
        self.json([{"id": commit.oid, "title": commit.title, "message": commit.message, "date": commit.shown_date,
                    "authors": [{"user": commit.author}]} for commit in history], headers={"X-Total-Count": str(len(history))})

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        commit = self.hub.store.writable(repo, self.user).resolve(revision)
        files = []
        for asked in json.loads(body)["files"]:
            there = commit.files.get(asked["path"])
            mode = "lfs" if asked["path"].endswith(LARGE) or asked["size"] > 10 << 20 else "regular"
            files.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, **({"oid": there.sha256 or there.oid} if there else {})})
        self.json({"files": files})

    def batch(self, body: bytes, repo: str) -> None:
        held = self.hub.store.writable(repo, self.user)
        asked = json.loads(body)
        assert asked["operation"] == "upload" and asked["hash_algo"] == "sha256"
        objects = []
        for one in asked["objects"]:
            entry: dict[str, Any] = {"oid": one["oid"], "size": one["size"], "authenticated": True}
            if one["oid"] not in held.objects:
                verify = {"href": f"{self.hub.url}/datasets/{repo}.git/info/lfs/objects/verify", "header": {}}
                entry["actions"] = {"upload": self._upload(repo, one["oid"], one["size"]), "verify": verify}
            objects.append(entry)
        self.json({"transfer": "multipart" if self.hub.part_bytes else "basic", "objects": objects})

    def _upload(self, repo: str, sha256: str, size: int) -> dict[str, Any]:
        limit = self.hub.part_bytes
        if limit is None or size <= limit:
            return {"href": self.hub.sign(repo, sha256).format("upload"), "header": {}}
        parts = range(1, -(-size // limit) + 1)
        return {"href": f"{self.hub.url}/datasets/{repo}.git/info/lfs/complete",
                "header": {"chunk_size": str(limit), **{str(n): self.hub.sign(repo, sha256, n).format("upload") for n in parts}}}

    def complete(self, body: bytes, repo: str) -> None:
        asked = json.loads(body)
        parts = self.hub.parts.pop((repo, asked["oid"]))
        for part in asked["parts"]:
            assert part["etag"].strip('"') == hashlib.md5(parts[part["partNumber"]], usedforsecurity=False).hexdigest()
        content = b"".join(parts[part["partNumber"]] for part in asked["parts"])
        if hashlib.sha256(content).hexdigest() != asked["oid"]:
            raise Refusal(400, "", "the parts do not match the sha256")
        self.hub.store.repos[repo].objects[asked["oid"]] = content
        self.json({"success": True})

    def verify(self, body: bytes, repo: str) -> None:
        held, asked = self.hub.store.writable(repo, self.user), json.loads(body)
        if len(held.objects.get(asked["oid"], b"")) != asked["size"]:
            raise Refusal(404, "", "no such object, or of another size")
        self.json({})

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        held = self.hub.store.writable(repo, self.user)
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        header = lines[0]["value"]
        assert lines[0]["key"] == "header" and header["summary"]
        head = held.resolve(revision)
        if (parent := header.get("parentCommit")) and not head.oid.startswith(parent):
            raise Refusal(412, "", "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines[1:]:
            _apply(held, files, line["key"], line["value"])
        user = self.user
        assert user is not None
        made = held.add(revision, files, header["summary"], header.get("description", ""), user.name)
        self.json({"success": True, "commitOid": made.oid, "commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{made.oid}", "hookOutput": ""})

    def branch(self, body: bytes, repo: str, revision: str) -> None:
        held = self.hub.store.writable(repo, self.user)
        if f"heads/{revision}" in held.refs:
            raise Refusal(409, "", "Reference already exists")
        held.refs[f"heads/{revision}"] = held.resolve(json.loads(body or b"{}").get("startingPoint", "main")).oid
        self.json({})

    def tag(self, body: bytes, repo: str, revision: str) -> None:
        held, name = self.hub.store.writable(repo, self.user), json.loads(body)["tag"]
        if f"tags/{name}" in held.refs:
            raise Refusal(409, "", "Tag reference exists already.")
        held.refs[f"tags/{name}"] = held.resolve(revision).oid
        self.json({})

    def resolve(self, body: bytes, repo: str, revision: str, path: str) -> None:
        commit = self.hub.store.readable(repo, self.user).resolve(revision)
        if path not in commit.files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        blob = commit.files[path]
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.oid}"'}
        if blob.sha256 is None:
            self.content(blob.content, headers)
            return
        place = self.hub.sign(repo, blob.sha256).format("content")
        linked = {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content)), "Location": place}
        self.send(302, b"", {**headers, **linked})

    def _flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("true", "1")

    def _dated(self, entries: list[dict[str, Any]], commit: Commit, expand: bool) -> list[dict[str, Any]]:
        if not expand:
            return entries
        return [entry | {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.shown_date}} for entry in entries]

    routes: ClassVar = [
        ("GET", re.compile("/api/whoami-v2"), whoami),
        ("POST", re.compile("/api/repos/create"), create),
        ("POST", re.compile("/api/validate-yaml"), validate),
        ("GET", re.compile(f"/api/datasets/{_REPO}"), info),
        ("GET", re.compile(f"/api/datasets/{_REPO}/revision/{_REVISION}"), info),
        ("GET", re.compile(f"/api/datasets/{_REPO}/tree/{_REVISION}(?:/(?P<path>.+))?"), tree),
        ("POST", re.compile(f"/api/datasets/{_REPO}/paths-info/{_REVISION}"), paths_info),
        ("GET", re.compile(f"/api/datasets/{_REPO}/refs"), refs),
        ("GET", re.compile(f"/api/datasets/{_REPO}/commits/{_REVISION}"), commits),
        ("POST", re.compile(f"/api/datasets/{_REPO}/preupload/{_REVISION}"), preupload),
        ("POST", re.compile(f"/api/datasets/{_REPO}/commit/{_REVISION}"), commit),
        ("POST", re.compile(f"/api/datasets/{_REPO}/branch/{_REVISION}"), branch),
        ("POST", re.compile(f"/api/datasets/{_REPO}/tag/{_REVISION}"), tag),
        ("POST", re.compile(rf"/datasets/{_REPO}\.git/info/lfs/objects/batch"), batch),
        ("POST", re.compile(rf"/datasets/{_REPO}\.git/info/lfs/objects/verify"), verify),
        ("POST", re.compile(rf"/datasets/{_REPO}\.git/info/lfs/complete"), complete),
        ("GET", re.compile(f"/datasets/{_REPO}/resolve/{_REVISION}/(?P<path>.+)"), resolve)]


def _apply(repo: Repo, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    """One line of a commit."""
    path = value["path"]
    if key == "file":
        assert value["encoding"] == "base64"
        files[path] = Blob(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if value["oid"] not in repo.objects:
            raise Refusal(400, "", f"the content of {path} was never uploaded")
        files[path] = Blob(repo.objects[value["oid"]], value["oid"])
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise Refusal(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
    elif key == "deletedFolder":
        for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
            del files[name]
    else:
        raise Refusal(400, "", f"unknown operation {key}")


def _entries(commit: Commit, below: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Files and folders below a path, as the tree listing has them."""
    found: dict[str, dict[str, Any]] = {}
    prefix = f"{below}/" if below else ""
    for path, blob in sorted(commit.files.items()):
        if not path.startswith(prefix):
            continue
        for folder in _folders(path[len(prefix):]):
            name = prefix + folder
            if recursive or "/" not in folder:
                found.setdefault(name, {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name})
        if recursive or "/" not in path[len(prefix):]:
            large = {"lfs": {"oid": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}} if blob.sha256 else {}
            found[path] = {"type": "file", "oid": blob.oid, "size": len(blob.content), "path": path, **large}
    return list(found.values())


def _folders(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for n in range(1, len(parts) + 1):
        yield "/".join(parts[:n])


def environment(hub: LoopbackHub, token: str | None, home: str) -> dict[str, str]:
    """Of a client process that knows this Hub, and no other."""
    return {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", **({"HF_TOKEN": token} if token else {})}
