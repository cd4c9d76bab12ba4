// Twilio's own npm client against a running Gavel: callbacks signed by Twilio's
// own code are read back through Twilio's own REST client. The stand-in Twilio
// behind Gavel carries out the client's writes and sends callbacks.
//
//   node run.mjs BINARY   starts that Gavel with its own data directory
//
// The binary, HTTP and the client are real. Only Twilio is a stand-in.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { middleware } from "./express.mjs";
import { floor } from "./floor.mjs";
import { pages } from "./pages.mjs";
import { story } from "./story.mjs";

const startDeadline = 30_000;
const binary = process.argv[2];
const started = [];
let dataDir;
const target = {};

before(async () => {
  target.accountSid = "AC" + "0123456789abcdef".repeat(2);
  target.authToken = "0123456789abcdef0123456789abcdef";
  dataDir = await mkdtemp(join(tmpdir(), "gavel-compat-"));
  const at = await freeAddress();
  const twilio = start("twilio", "--listen", "127.0.0.1:0", "--rate", "0", "--callback-url", "http://" + at);
  const api = await said(twilio, /(http:\/\/\S+)\/2010-04-01/);
  const gavel = start("serve", "--listen", at, "--nats-listen", "off", "--data-dir", dataDir, "--twilio-api", api);
  target.url = "http://" + (await said(gavel, /^gavel: ready http=(\S+)/));
  target.apiKey = (await readFile(join(dataDir, "api-key"), "utf8")).trim();
});

after(async () => {
  for (const child of started.reverse()) {
    if (child.exitCode !== null) continue;
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  if (dataDir) await rm(dataDir, { recursive: true });
});

function start(...args) {
  const child = spawn(binary, args, {
    env: { PATH: process.env.PATH, TWILIO_ACCOUNT_SID: target.accountSid, TWILIO_AUTH_TOKEN: target.authToken },
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(child);
  return child;
}

// freeAddress returns an address that was free a moment ago: the stand-in needs
// Gavel's address before Gavel starts, and Gavel needs the stand-in's.
async function freeAddress() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

// said returns what the pattern's group matches in a child's output.
async function said(child, pattern) {
  const deadline = AbortSignal.timeout(startDeadline);
  const lines = createInterface({ input: child.stdout, signal: deadline });
  child.once("exit", () => lines.close());
  for await (const line of lines) {
    const found = pattern.exec(line);
    if (found) {
      child.stdout.resume(); // nothing reads the rest, and the pipe must not fill up
      return found[1];
    }
  }
  throw new Error(`${child.spawnargs[1]} did not become ready`);
}

story(test, target);
floor(test, target);
pages(test, target);
middleware(test, target, start);
