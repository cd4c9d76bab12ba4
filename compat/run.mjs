// Twilio's own npm client against a running Gavel: what it posts, signed by
// Twilio's own code, is read back through Twilio's own REST client.
//
//   node run.mjs BINARY   starts that Gavel with a data directory of its own
//   node run.mjs          uses the one that GAVEL_URL, TWILIO_ACCOUNT_SID,
//                         TWILIO_AUTH_TOKEN and GAVEL_API_KEY name
//
// Real: the binary, HTTP, the client. Nothing is faked but who sends.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { story } from "./story.mjs";

const startDeadline = 30_000;
const binary = process.argv[2];
let gavel;
let dataDir;
const target = {};

before(async () => {
  if (!binary) {
    Object.assign(target, {
      url: process.env.GAVEL_URL,
      accountSid: process.env.TWILIO_ACCOUNT_SID,
      authToken: process.env.TWILIO_AUTH_TOKEN,
      apiKey: process.env.GAVEL_API_KEY,
    });
    return;
  }
  target.accountSid = "AC" + "0123456789abcdef".repeat(2);
  target.authToken = "0123456789abcdef0123456789abcdef";
  dataDir = await mkdtemp(join(tmpdir(), "gavel-compat-"));
  gavel = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--nats-listen", "off", "--data-dir", dataDir], {
    env: { PATH: process.env.PATH, TWILIO_ACCOUNT_SID: target.accountSid, TWILIO_AUTH_TOKEN: target.authToken },
    stdio: ["ignore", "pipe", "inherit"],
  });
  target.url = "http://" + (await ready(gavel));
  target.apiKey = (await readFile(join(dataDir, "api-key"), "utf8")).trim();
});

after(async () => {
  if (gavel && gavel.exitCode === null) {
    gavel.kill("SIGTERM");
    await once(gavel, "exit");
  }
  if (dataDir) await rm(dataDir, { recursive: true });
});

// ready returns the address in the line that says that Gavel serves.
async function ready(child) {
  const deadline = AbortSignal.timeout(startDeadline);
  const lines = createInterface({ input: child.stdout, signal: deadline });
  child.once("exit", () => lines.close());
  for await (const line of lines) {
    const found = /^gavel: ready http=(\S+)/.exec(line);
    if (found) {
      child.stdout.resume(); // nobody reads on, and the pipe must not fill up
      return found[1];
    }
  }
  throw new Error("gavel did not become ready");
}

story(test, target);
