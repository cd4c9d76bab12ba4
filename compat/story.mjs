import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import twilio from "twilio";
import { client, eventually } from "./client.mjs";

export const sid = (prefix) => prefix + randomBytes(16).toString("hex");

// rfc2822 is a date as Twilio writes it.
const rfc2822 = (date) => date.toUTCString().replace("GMT", "+0000");

const day = (date, plus = 0) => new Date(Math.floor(date / 864e5) * 864e5 + plus * 864e5);

// Floor sends callbacks as Twilio does.
export class Floor {
  constructor(target) {
    this.target = target;
  }

  async post(path, params) {
    const url = this.target.url + path;
    const signature = twilio.getExpectedTwilioSignature(this.target.authToken, url, params);
    const response = await fetch(url, {
      method: "POST",
      headers: { "X-Twilio-Signature": signature, "User-Agent": "TwilioProxy/1.1" },
      body: new URLSearchParams(params),
    });
    assert.equal(response.status, 204, `${params.StatusCallbackEvent ?? params.RecordingStatus}: ${response.status}`);
  }
}

// Room is one conference in progress.
export class Room {
  constructor(floor, name, created) {
    this.floor = floor;
    this.sid = sid("CF");
    this.name = name;
    this.created = created;
    this.number = 0;
  }

  // seconds after the creation is when an event happened.
  at(seconds) {
    return new Date(this.created.getTime() + seconds * 1000);
  }

  tell(event, more = {}) {
    const number = this.number++;
    return this.floor.post("/twilio/conference", {
      AccountSid: this.floor.target.accountSid,
      ConferenceSid: this.sid,
      FriendlyName: this.name,
      SequenceNumber: String(number),
      Timestamp: rfc2822(this.at(number)),
      StatusCallbackEvent: event,
      ...more,
    });
  }

  leg(event, callSid, label, flags = {}) {
    return this.tell(event, {
      CallSid: callSid,
      ...(label ? { ParticipantLabel: label } : {}),
      Muted: "false",
      Hold: "false",
      Coaching: "false",
      EndConferenceOnExit: "false",
      StartConferenceOnEnter: "true",
      ...flags,
    });
  }
}

export function story(test, target) {
  const agent = sid("CA");
  const customer = sid("CA");
  const recording = sid("RE");
  const name = `room ${randomBytes(4).toString("hex")} a&b + 100%`;
  const created = new Date(Math.floor(Date.now() / 1000) * 1000 - 3_600_000);
  let api;
  let live;
  let over;

  test("callbacks signed by Twilio's own code are accepted", async () => {
    const floor = new Floor(target);
    api = client(target, target.accountSid, target.authToken);
    over = new Room(floor, name, created);
    await over.leg("participant-join", customer, "");
    await over.leg("participant-leave", customer, "", {
      ParticipantCallStatus: "completed",
      ReasonParticipantLeft: "participant_hung_up",
    });
    await over.tell("conference-end", {
      ReasonConferenceEnded: "last-participant-left",
      CallSidEndingConference: customer,
      Reason: `Participant ${customer} left the conference`,
    });

    live = new Room(floor, name, new Date(created.getTime() + 60_000));
    await live.leg("participant-join", agent, "agent|user-1|nonce", { EndConferenceOnExit: "true" });
    await live.leg("participant-join", customer, "müller & söhne 100%");
    await live.tell("conference-start");
    await live.leg("participant-hold", customer, "müller & söhne 100%", { Hold: "true" });
    await floor.post("/twilio/recording", {
      AccountSid: target.accountSid,
      ConferenceSid: live.sid,
      RecordingSid: recording,
      RecordingUrl: `https://api.twilio.com/2010-04-01/Accounts/${target.accountSid}/Recordings/${recording}`,
      RecordingStatus: "completed",
      RecordingDuration: "116",
      RecordingChannels: "1",
      RecordingStartTime: rfc2822(live.at(2)),
      RecordingSource: "Conference",
    });
    for (let n = 0; n < 5; n++) {
      const crowd = new Room(floor, `${name} crowd`, new Date(created.getTime() + 120_000 + n * 1000));
      await crowd.leg("participant-join", sid("CA"), "");
    }
    await eventually("all is visible", async () => {
      const rooms = await api.conferences.list({ friendlyName: `${name} crowd` });
      const recordings = await api.conferences(live.sid).recordings.list().catch(() => []);
      return rooms.length === 5 && recordings.length === 1;
    });
  });

  test("a conference in progress", async () => {
    const c = await api.conferences(live.sid).fetch();
    assert.equal(c.sid, live.sid);
    assert.equal(c.accountSid, target.accountSid);
    assert.equal(c.apiVersion, "2010-04-01");
    assert.equal(c.friendlyName, name);
    assert.equal(c.status, "in-progress");
    assert.deepEqual(c.dateCreated, live.created);
    assert.deepEqual(c.dateUpdated, live.at(3));
    for (const untold of ["region", "reasonConferenceEnded", "callSidEndingConference"]) assert.equal(c[untold], null, untold);
    assert.equal(c.uri, `/2010-04-01/Accounts/${target.accountSid}/Conferences/${live.sid}.json`);
    assert.deepEqual(Object.keys(c.subresourceUris).sort(), ["participants", "recordings"]);
  });

  test("a conference that ended", async () => {
    const c = await api.conferences(over.sid).fetch();
    assert.equal(c.status, "completed");
    assert.equal(c.reasonConferenceEnded, "last-participant-left");
    assert.equal(c.callSidEndingConference, customer);
    assert.deepEqual(await api.conferences(over.sid).participants.list(), []);
  });

  test("every filter of the list", async () => {
    const sids = async (filters) => (await api.conferences.list({ friendlyName: name, ...filters })).map((c) => c.sid);
    assert.deepEqual(await sids({}), [live.sid, over.sid], "newest first");
    assert.deepEqual(await sids({ status: "completed" }), [over.sid]);
    assert.deepEqual(await sids({ status: "init" }), []);
    assert.deepEqual(await sids({ dateCreatedAfter: day(created), dateCreatedBefore: day(created, 2) }), [live.sid, over.sid]);
    assert.deepEqual(await sids({ dateCreatedAfter: day(created, 2) }), []);
    assert.deepEqual(await sids({ dateCreatedBefore: day(created, -1) }), []);
    assert.ok((await sids({ dateCreated: day(created) })).includes(over.sid));
    assert.ok((await sids({ dateUpdated: day(live.at(3)), dateUpdatedAfter: day(created) })).includes(live.sid));
  });

  test("pages forth and back", async () => {
    const filters = { friendlyName: `${name} crowd`, pageSize: 2 };
    assert.equal((await api.conferences.list(filters)).length, 5);
    let page = await api.conferences.page(filters);
    const forth = [];
    for (;;) {
      forth.push(page.instances.map((c) => c.sid));
      const next = await page.nextPage();
      if (!next) break;
      page = next;
    }
    assert.deepEqual(forth.map((p) => p.length), [2, 2, 1]);
    page = await page.previousPage();
    assert.deepEqual(page.instances.map((c) => c.sid), forth[1]);
    page = await page.previousPage();
    assert.deepEqual(page.instances.map((c) => c.sid), forth[0]);
    assert.equal(await page.previousPage(), undefined);
  });

  test("participants, by CallSid and by label", async () => {
    const people = api.conferences(live.sid).participants;
    assert.deepEqual((await people.list()).map((p) => p.callSid), [customer, agent]);
    assert.deepEqual((await people.list({ hold: true })).map((p) => p.callSid), [customer]);
    assert.deepEqual((await people.list({ muted: true })), []);
    const conference = api.conferences(live.sid);
    const p = await conference.participants("agent|user-1|nonce").fetch();
    assert.equal(p.callSid, agent);
    assert.equal(p.endConferenceOnExit, true);
    assert.equal(p.hold, false);
    assert.equal(p.status, "connected");
    assert.equal(p.callSidToCoach, null);
    assert.deepEqual(p.dateCreated, live.created);
    assert.equal((await conference.participants(encodeURIComponent("müller & söhne 100%")).fetch()).callSid, customer);
    assert.equal((await conference.participants(customer).fetch()).label, "müller & söhne 100%");
  });

  test("recordings", async () => {
    const [listed] = await api.conferences(live.sid).recordings.list({ dateCreatedAfter: day(created) });
    const fetched = await api.conferences(live.sid).recordings(recording).fetch();
    for (const r of [listed, fetched]) {
      assert.equal(r.sid, recording);
      assert.equal(r.duration, "116");
      assert.equal(r.channels, 1);
      assert.equal(r.source, "Conference");
      assert.equal(r.status, "completed");
      assert.deepEqual(r.startTime, live.at(2));
      assert.equal(r.price, null);
    }
  });

  test("errors are Twilio's", async () => {
    const stranger = client(target, target.accountSid, "wrong");
    const refusals = {
      "401 20003": () => stranger.conferences(live.sid).fetch(),
      "404 20404": () => api.conferences(sid("CF")).fetch(),
      "405 20004": () => api.conferences("by-its-name").fetch(),
    };
    for (const [wanted, ask] of Object.entries(refusals)) {
      await assert.rejects(ask, (e) => `${e.status} ${e.code}` === wanted && e.moreInfo.endsWith(String(e.code)), wanted);
    }
  });

  test("an API key opens as well", async () => {
    assert.ok(target.apiKey, "GAVEL_API_KEY is not set");
    const [key, secret] = target.apiKey.split(":");
    assert.equal((await client(target, key, secret).conferences(live.sid).fetch()).sid, live.sid);
  });
}
