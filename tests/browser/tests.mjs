// What the tests in browsers share: a line for each, and how many there were.

let count = 0;

/** Runs a test; the first that fails ends the program. */
export async function test(name, body) {
  await body();
  count += 1;
  console.log(`ok ${count} - ${name}`);
}

/** How many have passed. */
export const passed = () => count;
