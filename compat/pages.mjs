// Twilio's own client lists 2,500 conferences by pages, while others start.

import assert from "node:assert/strict";
import { client, eventually } from "./client.mjs";
import { Floor, Room, sid } from "./story.mjs";

const before = 2500;
const meanwhile = 300;
const together = 64;

export function pages(test, target) {
  test(`pages stay whole over ${before} conferences while ${meanwhile} arrive`, async () => {
    const api = client(target, target.accountSid, target.authToken);
    const door = new Floor(target);
    const night = new Date(Date.UTC(2026, 0, 31, 9)); // a day without other conferences
    const begin = (n) => new Room(door, `wave ${n}`, new Date(night.getTime() + n * 1000)).leg("participant-join", sid("CA"), "");
    const wave = async (from, count) => {
      for (let n = from; n < from + count; n += together) {
        await Promise.all(Array.from({ length: Math.min(together, from + count - n) }, (_, i) => begin(n + i)));
      }
    };
    const ofThatDay = { dateCreated: night };
    await wave(0, before);
    await eventually("all are shown", async () => (await api.conferences.list({ friendlyName: `wave ${before - 1}` })).length === 1);

    const [listed] = await Promise.all([api.conferences.list({ ...ofThatDay, pageSize: 100 }), wave(before, meanwhile)]);
    const times = new Map();
    for (const { friendlyName } of listed) times.set(friendlyName, (times.get(friendlyName) ?? 0) + 1);
    for (let n = 0; n < before; n++) assert.equal(times.get(`wave ${n}`), 1, `wave ${n}`);

    await eventually("the others are shown", async () => {
      const all = await api.conferences.list({ ...ofThatDay, pageSize: 1000 });
      return all.length === before + meanwhile;
    });
  });
}
