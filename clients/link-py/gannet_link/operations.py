"""The operations as methods. Made of docs/openapi.json by ../../link-js/generate.mjs."""


class Operations:
    """Each returns a future of the reply: docs/link.md describes them."""

    def apps(self, *, after=None, limit=None, prefix=None, app=None, scope=None):
        """The apps that the key may name, in the order of their names, page by page, and how many sessions each has."""
        return self._ask("apps", {}, {"after": after, "limit": limit, "prefix": prefix, "app": app, "scope": scope})

    def ban(self, *, address=None, for_ms=None, reason=None, user=None, app=None, scope=None):
        """Closes the sessions of a user or an address, and lets no new ones in."""
        return self._ask("ban", {}, {"address": address, "for_ms": for_ms, "reason": reason, "user": user, "app": app, "scope": scope})

    def bans(self, *, after=None, limit=None, app=None, scope=None):
        """The bans of an app that hold, page by page."""
        return self._ask("bans", {}, {"after": after, "limit": limit, "app": app, "scope": scope})

    def bind(self, session, user, *, app=None, scope=None):
        """A session gets another user, or none."""
        return self._ask("bind", {"session": session, "user": user}, {"app": app, "scope": scope})

    def count(self, *, group=None, tag=None, user=None, app=None, scope=None):
        """How many sessions a user, a group or a tag has, or the app, and of how many users."""
        return self._ask("count", {}, {"group": group, "tag": tag, "user": user, "app": app, "scope": scope})

    def destroy(self, group, *, app=None, scope=None):
        """Every member leaves a group, and what it remembers is forgotten."""
        return self._ask("destroy", {"group": group}, {"app": app, "scope": scope})

    def forget(self, group, *, key=None, app=None, scope=None):
        """A group forgets the newest push of a key, or all that it remembers: then its numbers begin anew."""
        return self._ask("forget", {"group": group}, {"key": key, "app": app, "scope": scope})

    def groups(self, *, after=None, limit=None, prefix=None, app=None, scope=None):
        """The groups that have members, in the order of their names, page by page, and how many each has."""
        return self._ask("groups", {}, {"after": after, "limit": limit, "prefix": prefix, "app": app, "scope": scope})

    def join(self, group, *, after=None, epoch=None, last=None, session=None, sticky=None, user=None, app=None, scope=None):
        """Sessions join a group."""
        return self._ask("join", {"group": group}, {"after": after, "epoch": epoch, "last": last, "session": session, "sticky": sticky, "user": user, "app": app, "scope": scope})

    def kick(self, *, code=None, reason=None, session=None, user=None, app=None, scope=None):
        """Closes sessions."""
        return self._ask("kick", {}, {"code": code, "reason": reason, "session": session, "user": user, "app": app, "scope": scope})

    def latest(self, group, *, app=None, scope=None):
        """The newest push of each key that a group keeps."""
        return self._ask("latest", {"group": group}, {"app": app, "scope": scope})

    def leave(self, group, *, session=None, user=None, app=None, scope=None):
        """Sessions leave a group."""
        return self._ask("leave", {"group": group}, {"session": session, "user": user, "app": app, "scope": scope})

    def list(self, *, after=None, behind=None, group=None, limit=None, tag=None, user=None, app=None, scope=None):
        """Describes the sessions of a user, a group or a tag, or of the app, page by page: `GET /v1/sessions`."""
        return self._ask("list", {}, {"after": after, "behind": behind, "group": group, "limit": limit, "tag": tag, "user": user, "app": app, "scope": scope})

    def move(self, group, to, *, session=None, user=None, app=None, scope=None):
        """Every member leaves one group and is in another; or some of the members."""
        return self._ask("move", {"group": group, "to": to}, {"session": session, "user": user, "app": app, "scope": scope})

    def presence(self, group, *, after=None, limit=None, members=None, app=None, scope=None):
        """Who is in a group: its users with their sessions, page by page, and how many."""
        return self._ask("presence", {"group": group}, {"after": after, "limit": limit, "members": members, "app": app, "scope": scope})

    def read_log(self, group, *, after=None, epoch=None, limit=None, app=None, scope=None):
        """The pushes that the log of a group keeps, page by page."""
        return self._ask("read_log", {"group": group}, {"after": after, "epoch": epoch, "limit": limit, "app": app, "scope": scope})

    def rebalance(self, share, *, app=None, scope=None):
        """The sessions of a share that no route binds are divided evenly anew among its links."""
        return self._ask("rebalance", {"share": share}, {"app": app, "scope": scope})

    def renew(self, session, *, expires_unix_ms=None, for_ms=None, token=None, app=None, scope=None):
        """A session goes on under another token of its user, and ends when that does; or it ends when it is told."""
        return self._ask("renew", {"session": session}, {"expires_unix_ms": expires_unix_ms, "for_ms": for_ms, "token": token, "app": app, "scope": scope})

    def route(self, link, *, group=None, session=None, user=None, app=None, scope=None):
        """The events of sessions go to one link of a share from now on."""
        return self._ask("route", {"link": link}, {"group": group, "session": session, "user": user, "app": app, "scope": scope})

    def session(self, session, *, app=None, scope=None):
        """Describes a session."""
        return self._ask("session", {"session": session}, {"app": app, "scope": scope})

    def set_groups(self, groups, *, prefix=None, session=None, user=None, app=None, scope=None):
        """Sessions are in exactly these groups, of those that begin with `prefix`."""
        return self._ask("set_groups", {"groups": groups}, {"prefix": prefix, "session": session, "user": user, "app": app, "scope": scope})

    def set_tags(self, tags, *, prefix=None, session=None, user=None, app=None, scope=None):
        """Sessions have exactly these tags, of those that begin with `prefix`."""
        return self._ask("set_tags", {"tags": tags}, {"prefix": prefix, "session": session, "user": user, "app": app, "scope": scope})

    def stats(self, *, app=None, scope=None):
        """What is counted of one app, over all reactors."""
        return self._ask("stats", {}, {"app": app, "scope": scope})

    def tag(self, tag, *, session=None, user=None, app=None, scope=None):
        """Sessions get a tag."""
        return self._ask("tag", {"tag": tag}, {"session": session, "user": user, "app": app, "scope": scope})

    def unban(self, *, address=None, user=None, app=None, scope=None):
        """Takes a ban back."""
        return self._ask("unban", {}, {"address": address, "user": user, "app": app, "scope": scope})

    def untag(self, tag, *, session=None, user=None, app=None, scope=None):
        """Sessions lose a tag."""
        return self._ask("untag", {"tag": tag}, {"session": session, "user": user, "app": app, "scope": scope})

    def users(self, *, after=None, limit=None, prefix=None, app=None, scope=None):
        """The users who have sessions, in the order of their names, page by page, and how many each has."""
        return self._ask("users", {}, {"after": after, "limit": limit, "prefix": prefix, "app": app, "scope": scope})
