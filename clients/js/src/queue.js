/** What waits to be sent, in its order. `drop` hears of each message that will not be sent. */
export const createQueue = ({ messages = 64, bytes = 65536 } = {}, drop) => {
  let waiting = [], held = 0;
  const remove = (item, why) => {
    clearTimeout(item._timer);
    waiting = waiting.filter((other) => other != item);
    held -= item._size;
    if (why) drop({ data: item.data, key: item.key, why });
  };
  return {
    _list: () => waiting,
    /** Takes a message, in the place of the one with its key if there is one. Returns whether there was room. */
    _add(data, key, ttlMs) {
      const old = key && waiting.find((item) => item.key == key), size = data.byteLength ?? data.length;
      if (held + size - (old ? old._size : 0) > bytes || (!old && waiting.length >= messages)) return;
      // A copy: the caller may use its buffer again.
      const item = { data: data.slice?.() ?? data, key, _size: size, _until: Date.now() + ttlMs };
      // The timer for a page that runs, the wall clock for a machine that has slept.
      item._timer = setTimeout(() => remove(item, "expired"), ttlMs);
      held += size;
      waiting = old ? waiting.map((other) => (other == old ? item : other)) : [...waiting, item];
      if (old) remove(old, "replaced");
      return true;
    },
    /** Takes the next message out; nothing if it had expired. */
    _next() {
      const [item] = waiting, isLate = Date.now() > item._until;
      remove(item, isLate && "expired");
      return isLate ? undefined : item.data;
    },
    _clear: (why, which = waiting) => which.forEach((item) => remove(item, why)),
  };
};
