// What tests of one program share: a line for each, and how many there were. The first that fails ends the program.

let passed = 0;

/** Runs a test. */
export async function test(name, body) {
  try {
    await body();
  } catch (error) {
    console.log(`not ok - ${name}\n  ${error.stack}\n${error.stdout ?? ""}`);
    console.log(`${passed} passed, 1 failed`);
    process.exit(1);
  }
  passed += 1;
  console.log(`ok ${passed} - ${name}`);
}

/** All have passed. */
export const finish = () => console.log(`${passed} passed, 0 failed`);
