// A machine of its own for each page: its own ports, processes, /etc, /usr/local, /run and home, so that what a page says can be done
// to the letter, and side by side with another page.
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** What starts a program in namespaces of its own, as root of them: who is not root becomes it there alone. */
export function alone(command) {
  const isRoot = process.getuid() === 0;
  return ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child", ...(isRoot ? [] : ["--map-root-user"]), ...command];
}

/** Called in the namespaces: loopback, folders that only this page changes, the program in /usr/local/bin. */
export function furnish(root, program) {
  const run = (...command) => execFileSync(command[0], command.slice(1), { stdio: ["ignore", "ignore", "inherit"] });
  run("ip", "link", "set", "lo", "up");
  run("hostname", "eu1");
  const layers = join(root, "layers");
  mkdirSync(layers);
  run("mount", "-t", "tmpfs", "tmpfs", layers);
  for (const folder of ["etc", "usr/local"]) {
    const [upper, work] = ["upper", "work"].map((name) => join(layers, folder, name));
    for (const path of [upper, work]) mkdirSync(path, { recursive: true });
    run("mount", "-t", "overlay", "-o", `lowerdir=/${folder},upperdir=${upper},workdir=${work}`, "overlay", `/${folder}`);
  }
  run("mount", "-t", "tmpfs", "tmpfs", "/run");
  mkdirSync("/run/gannet");
  mkdirSync("/usr/local/bin", { recursive: true });
  copyFileSync(program, "/usr/local/bin/gannet");
}

/** What a checkout has beside its sources. */
const BUILT = /^(?:.*\/)?(?:target|node_modules|artifacts)$/;

/** A clone of the checkout, or where that has no history, as one from an archive, a copy; with what is built already: its sources are as old as the build, so that cargo builds nothing anew. */
export function clone(checkout, into, program) {
  // The checkout may be another user's.
  if (existsSync(join(checkout, ".git"))) execFileSync("git", ["-c", "safe.directory=*", "clone", "--quiet", checkout, into]);
  else cpSync(checkout, into, { recursive: true, filter: (path) => !BUILT.test(path) });
  execFileSync("find", [into, "-path", join(into, ".git"), "-prune", "-o", "-type", "f", "-exec", "touch", "-d", "2020-01-01", "{}", "+"]);
  const built = resolve(program, "..");
  mkdirSync(join(into, "target"));
  // What `npx` would fetch, installed by tests/run.
  symlinkSync(join(built, "../wscat-6.1.0/node_modules"), join(into, "../node_modules"));
  for (const profile of ["debug", "release"]) symlinkSync(built, join(into, "target", profile));
}

/** The variables of a page's commands: a home of its own, and the caches of the machine, since there is no network. */
export function variables(root, program, more = {}) {
  const home = join(root, "home");
  mkdirSync(home);
  const cache = (name, ...path) => process.env[name] ?? join(homedir(), ...path);
  return {
    ...process.env,
    PATH: `/usr/local/bin:${process.env.PATH}`,
    HOME: home,
    CARGO_HOME: cache("CARGO_HOME", ".cargo"),
    RUSTUP_HOME: cache("RUSTUP_HOME", ".rustup"),
    CARGO_TARGET_DIR: resolve(program, "../.."),
    CARGO_NET_OFFLINE: "true",
    GOCACHE: cache("GOCACHE", ".cache", "go-build"),
    NPM_CONFIG_CACHE: cache("NPM_CONFIG_CACHE", ".npm"),
    NPM_CONFIG_OFFLINE: "true",
    // As it is in a terminal, which a pipe is not.
    PYTHONUNBUFFERED: "1",
    ...more,
  };
}

/** Takes what a page may do where it stands for minutes, or for another build, as short and as it is built; and curl shows no meter. */
export function sooner(command) {
  const benches = /\bgannet bench (?:echo|push|fanout|connect|idle|soak|resume)\b[^\n;|]*/g;
  const shorter = (bench) => {
    const timed = / (?:--all-at-once|(?:-d|--duration) \S)/.test(bench) ? bench.replace(/ (-d|--duration) \S+/, " $1 1s") : `${bench} -d 1s`;
    return timed.replace(/ -c \d+/, " -c 20").replace(/ -r \d+/, " -r 100");
  };
  const waited = command.replace(/^(gannet serve.* &)$/m, "trap 'kill %1' EXIT\n$1\nuntil gannet health 2> /dev/null; do sleep 0.05; done");
  return waited.replace(benches, shorter).replace(/\bcurl -N\b/g, "curl -sN").replace(/\b(cargo (?:build|run)) --release/g, "$1");
}

