// Twilio's own middleware in Express accepts what the stand-in signs, with the auth token and with a
// shared key side by side: what Gavel is tested with is what Twilio's library accepts.

import assert from "node:assert/strict";
import { once } from "node:events";
import express from "express";
import twilio from "twilio";
import { eventually } from "./client.mjs";

// The number of callbacks of each kind that must arrive. Half are signed by each key.
const enough = 20;

// The lengths of the two signatures in base64: HMAC-SHA1 and HMAC-SHA256.
const lengths = [28, 44];

export function middleware(test, target, start) {
  test("Express accepts the stand-in's signatures of either key", async (t) => {
    const secret = "a secret of the shared key";
    const arrived = new Map(lengths.map((length) => [length, 0]));
    const app = express();
    app.use(express.urlencoded({ extended: false }));
    app.use((request, response, next) => {
      response.on("finish", () => {
        assert.equal(response.statusCode, 204, `${request.originalUrl}: signature of ${request.header("X-Twilio-Signature")?.length} characters`);
      });
      next();
    });
    app.use(twilio.webhook(target.authToken, { sharedKeySecret: secret }));
    app.use((request, response) => {
      const { length } = request.header("X-Twilio-Signature");
      arrived.set(length, (arrived.get(length) ?? 0) + 1);
      response.sendStatus(204);
    });
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const key = "webhooks_sharedkey_01k9zx3f5v7q2m4n6p8r0s1t2u:" + secret;
    start("twilio", "--listen", "127.0.0.1:0", "--rate", "600", "--callback-url", `http://127.0.0.1:${server.address().port}`, "--shared-key", key);
    await eventually("callbacks of both kinds arrive", async () => lengths.every((length) => arrived.get(length) >= enough));
    assert.deepEqual([...arrived.keys()].sort(), lengths);
  });
}
