// Twilio's own client runs a call floor through Gavel: every write goes to the
// stand-in Twilio, whose callbacks report the result.

import assert from "node:assert/strict";
import { client, eventually } from "./client.mjs";

const name = "sala 1 | müller & söhne";
const label = "agent|user-1|nonce 100%";

export function floor(test, target) {
  let api;
  let room;

  const people = async () => new Map((await room.participants.list()).map((p) => [p.label, p]));

  test("participants are added, to a room by its name and to a conference", async () => {
    api = client(target, target.accountSid, target.authToken);
    const dial = (label) => ({
      from: "+14155550199",
      to: "+14155550100",
      label,
      conferenceRecord: "true",
      conferenceStatusCallback: target.url + "/twilio/conference",
      conferenceStatusCallbackEvent: ["start", "end", "join", "leave", "mute", "hold", "modify"],
      conferenceRecordingStatusCallback: target.url + "/twilio/recording",
      conferenceRecordingStatusCallbackEvent: ["in-progress", "completed"],
    });
    const customer = await api.conferences(encodeURIComponent(name)).participants.create(dial("customer"));
    assert.equal(customer.status, "queued");
    room = api.conferences(customer.conferenceSid);
    await room.participants.create(dial(label));
    // A leg that is being dialled is shown before the first callback, which brings the room's name.
    await eventually("both are shown", async () => (await people()).size === 2);
    await eventually("the name is shown", async () => (await room.fetch()).friendlyName === name);
    await eventually("both have joined", async () => [...(await people()).values()].every((p) => p.status === "connected"));
  });

  test("participants are held, muted and kicked", async () => {
    const agent = room.participants(encodeURIComponent(label));
    assert.equal((await agent.update({ muted: true })).muted, true);
    await room.participants("customer").update({ hold: true, holdUrl: "https://example.com/wait.mp3" });
    await eventually("both are changed", async () => {
      const now = await people();
      return now.get(label)?.muted && now.get("customer")?.hold;
    });
    assert.equal(await agent.remove(), true);
    await eventually("the agent is gone", async () => (await people()).size === 1);
  });

  test("the recording is paused, goes on, and is deleted", async () => {
    const [recording] = await eventually("a recording is shown", async () => {
      const list = await room.recordings.list();
      return list.length === 1 && list;
    });
    assert.equal((await room.recordings("Twilio.CURRENT").update({ status: "paused" })).status, "paused");
    assert.equal((await room.recordings(recording.sid).update({ status: "in-progress" })).status, "in-progress");
    assert.equal(await room.recordings(recording.sid).remove(), true);
  });

  test("the conference is announced to and ended", async () => {
    await room.update({ announceUrl: "https://example.com/bell.mp3", announceMethod: "GET" });
    const ended = await room.update({ status: "completed" });
    assert.equal(ended.reasonConferenceEnded, "conference-ended-via-api");
    assert.equal(ended.callSidEndingConference, null);
    await eventually("it is completed", async () => (await room.fetch()).status === "completed");
    assert.deepEqual(await room.participants.list(), []);
  });

  test("Twilio's refusals come through", async () => {
    const gone = room.participants("CA" + "0".repeat(32));
    await assert.rejects(gone.remove(), (e) => e.status === 404 && e.code === 20404);
    await assert.rejects(room.participants.create({ from: "+14155550199", to: "" }), (e) => e.status === 400);
    const stranger = client(target, target.accountSid, "wrong");
    await assert.rejects(stranger.conferences(room._solution.sid).update({ status: "completed" }), (e) => e.code === 20003);
  });
}
