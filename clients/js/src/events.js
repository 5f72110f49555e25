/** The bytes of a text in base64. */
export const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer;

/**
 * Reads an event stream (WHATWG HTML §9.2.6), as far as gannet writes one: lines end with LF, a name is followed by ": ". Returns a
 * function that takes the next bytes, wherever they were cut, and calls `on(name, data)` for each event while that returns true.
 */
export const eventReader = (on) => {
  const decoder = new TextDecoder();
  let rest = "", name, data;
  return (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const value = line.slice(line.indexOf(" ") + 1);
      if (line[0] == "e") name = value;
      else if (line[0] == "d") data = data == null ? value : data + "\n" + value;
      else if (!line && data != null) {
        const event = [name, data];
        name = data = undefined;
        if (!on(...event)) return;
      }
    }
  };
};
