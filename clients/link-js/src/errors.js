// What may go wrong with a command or with the link.

/** gannet has refused a command, or the link itself: then nothing more comes of it. */
export class LinkError extends Error {
  name = "LinkError";

  constructor({ code, message }, options) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}

/** There is no connection, and the reply to a command will not come. `maybeDone`: it was written, so perhaps it was done. */
export class LinkLost extends Error {
  name = "LinkLost";

  constructor(message, maybeDone, options) {
    super(message, options);
    this.maybeDone = maybeDone;
  }
}

/** As many commands wait as may: await `drain()`. */
export class LinkBusy extends Error {
  name = "LinkBusy";
}
