// What a Twilio user writes today: Express, Twilio's own middleware for the
// signature, one JetStream message per callback, 204 after its PubAck.
//
// Settings: NATS_URL, TWILIO_AUTH_TOKEN, PUBLIC_URL (what Twilio signed).
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import express from "express";
import twilio from "twilio";

const { NATS_URL, PUBLIC_URL, TWILIO_AUTH_TOKEN } = process.env;

const nats = await connect({ servers: NATS_URL });
const manager = await jetstreamManager(nats);
await manager.streams.add({ name: "CALLBACKS", subjects: ["callbacks.*"] });
const stream = jetstream(nats);

const app = express();
app.post(
  "/twilio/conference",
  express.urlencoded({ extended: false }),
  twilio.webhook(TWILIO_AUTH_TOKEN, { url: `${PUBLIC_URL}/twilio/conference` }),
  async (req, res) => {
    await stream.publish(`callbacks.${req.body.ConferenceSid}`, JSON.stringify(req.body));
    res.status(204).end();
  },
);

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`peer: ready http=127.0.0.1:${server.address().port}`);
});

process.on("SIGTERM", async () => {
  server.closeAllConnections();
  server.close();
  await nats.drain();
  process.exit(0);
});
