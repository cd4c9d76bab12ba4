// Twilio's own client, configured to call Gavel. Every answer is validated
// against the schemas beside this file.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import Ajv from "ajv/dist/2020.js";
import twilio from "twilio";
import RequestClient from "twilio/lib/base/RequestClient.js";

const visibleDeadline = 10_000;

const folder = new URL("./schemas/", import.meta.url);
const ajv = new Ajv({
  allowUnionTypes: true,
  schemas: readdirSync(folder).map((name) => JSON.parse(readFileSync(new URL(name, folder)))),
});

// schemaOf returns the schema of an answer, named after the last resource in the
// path; a list has the plural.
function schemaOf({ method, uri }, status) {
  if (status >= 400) return "error";
  const path = new URL(uri).pathname.replace(/\.json$/, "").split("/");
  const [before, last] = path.slice(-2);
  if (path.length % 2 === 0) return before.toLowerCase().slice(0, -1); // one of a list
  return method.toLowerCase() === "get" ? last.toLowerCase() : last.toLowerCase().slice(0, -1);
}

class Checked extends RequestClient {
  async request(options) {
    const response = await super.request(options);
    if (response.statusCode !== 204) {
      const name = schemaOf(options, response.statusCode);
      const body = typeof response.body === "string" ? JSON.parse(response.body) : response.body;
      const valid = ajv.validate(name + ".json", body);
      assert.ok(valid, `${options.method} ${options.uri}: ${name}: ${ajv.errorsText()}`);
    }
    return response;
  }
}

export function client(target, user, password) {
  const c = twilio(user, password, { accountSid: target.accountSid, httpClient: new Checked() });
  c.api.baseUrl = target.url;
  return c;
}

// eventually repeats a request until it has a result.
export async function eventually(what, check) {
  const deadline = Date.now() + visibleDeadline;
  for (;;) {
    const result = await check();
    if (result) return result;
    assert.ok(Date.now() < deadline, `${what} within ${visibleDeadline} ms`);
    await pause(20);
  }
}
