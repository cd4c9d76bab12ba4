// List conferences and their participants with Twilio's own client (npm install twilio).
//
//   node examples/read.mjs
import twilio from "twilio";

const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);
client.api.baseUrl = process.env.GAVEL_SERVER ?? "http://127.0.0.1:8080";

for (const conference of await client.conferences.list({ limit: 20 })) {
  console.log(conference.friendlyName, conference.status, conference.reasonConferenceEnded ?? "");
  for (const leg of await client.conferences(conference.sid).participants.list()) {
    console.log("  ", leg.label ?? leg.callSid, leg.hold ? "on hold" : "");
  }
}
