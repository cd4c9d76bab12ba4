package app_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/internal/rulebook"
	"gavel/rules"
)

// These tests change one bit in a file of the embedded NATS between a stop and a start, in a record
// of a bucket. After a clean stop nats-server then finds no value for the key; after a crash the
// stream ends before the record, and the value before it is the key's again.

// vault is the buckets of one data directory and the packages that store their state in them.
type vault struct {
	t   *testing.T
	dir string
	bus *bus.Bus

	brakes *brakes.Brakes
	keys   *keys.Keys
	book   *rulebook.Book
}

func openVault(t *testing.T, dir string) *vault {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Open(t.Context(), bus.Config{DataDir: dir}, log)
	if err != nil {
		t.Fatal(err)
	}
	v := &vault{t: t, dir: dir, bus: b, brakes: brakes.New(b.Brakes(), time.Now, brakes.WithStore(b.Store().Rules))}
	var faults [2]error
	v.keys, faults[0] = keys.Open(t.Context(), b.Keys(), func(string) ([]string, []string) { return nil, nil }, log)
	v.book, faults[1] = rulebook.Open(t.Context(), b.Rules(), log)
	t.Cleanup(v.close)
	if err := errors.Join(faults[:]...); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *vault) close() {
	if err := v.bus.Close(context.WithoutCancel(v.t.Context())); err != nil {
		v.t.Error(err)
	}
}

// damaged returns the vault after a stop, or a crash, and one changed bit in the last
// occurrence of text in the files of a stream.
func (v *vault) damaged(crash bool, stream, text string) *vault {
	v.t.Helper()
	dir := v.dir
	if crash {
		dir = v.t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(v.dir)); err != nil {
			v.t.Fatal(err)
		}
	}
	v.close()
	flipped := 0
	for _, pattern := range []string{"meta.inf", "msgs/*.blk"} {
		paths, err := filepath.Glob(filepath.Join(dir, "nats/jetstream/$G/streams", stream, pattern))
		if err != nil {
			v.t.Fatal(err)
		}
		for _, path := range paths {
			if flip(v.t, path, text) {
				flipped++
			}
		}
	}
	if flipped != 1 {
		v.t.Fatalf("%q is in %d files of %s", text, flipped, stream)
	}
	return openVault(v.t, dir)
}

// flip changes one bit at the last occurrence of text and reports whether the file contains it.
func flip(t *testing.T, path, text string) bool {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(content, []byte(text))
	if at < 0 {
		return false
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return true
}

// afterStopAndCrash runs a story twice.
func afterStopAndCrash(t *testing.T, story func(t *testing.T, v *vault, crash bool)) {
	t.Helper()
	for name, crash := range map[string]bool{"clean stop": false, "crash": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, openVault(t, t.TempDir()), crash)
		})
	}
}

// must fails the test if one of the steps failed.
func (v *vault) must(faults ...error) {
	v.t.Helper()
	if err := errors.Join(faults...); err != nil {
		v.t.Fatal(err)
	}
}

// wantStop requires rules to be stopped, or not, and the table of the store to agree.
func (v *vault) wantStop(want bool, reason string) {
	v.t.Helper()
	var is bool
	var s brakes.Stop
	var err error
	v.answered(func() error {
		is, s, err = v.brakes.Stopped(v.t.Context())
		return err
	})
	if err != nil || is != want || !strings.Contains(s.Reason, reason) {
		v.t.Fatalf("stopped: %v, %+v, %v; want %v with %q", is, s, err, want, reason)
	}
}

// wantReady requires the store to be without a condition, or to name one.
func (v *vault) wantReady(reason string) {
	v.t.Helper()
	err := v.bus.Store().Ready()
	if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
		v.t.Errorf("ready: %v; want %q", err, reason)
	}
	if err := v.bus.Store().Door(); err != nil {
		v.t.Errorf("the door is closed: %v", err)
	}
}

func TestOneDamagedBitLiftsNoStop(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string][2]string{
		"the stop":              {"KV_GAVEL_BRAKES", "wrong calls"},
		"its mark":              {"KV_GAVEL_RULES", "mark.GAVEL_BRAKES.stop"},
		"its bucket's own file": {"KV_GAVEL_BRAKES", `"name":"KV_GAVEL_BRAKES"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			afterStopAndCrash(t, func(t *testing.T, v *vault, crash bool) {
				v.wantStop(false, "")
				ctx := t.Context()
				v.must(v.brakes.Stop(ctx, "a first stop", "kate"), v.brakes.Resume(ctx, "over", "kate"), v.brakes.Stop(ctx, "wrong calls", "kate"))
				v = v.damaged(crash, damage[0], damage[1])
				v.wantStop(true, "")
				if _, s, _ := v.brakes.Stopped(ctx); s.Reason != "wrong calls" {
					v.wantStop(true, "gavel resume")
					v.wantReady("damaged in the store")
				}
				v.must(v.brakes.Resume(ctx, "checked", "kate"))
				v.wantStop(false, "")
				v.wantReady("")
				v.close()
				v = openVault(t, v.dir)
				v.wantStop(false, "")
				v.must(v.brakes.Stop(ctx, "again", "kate"))
				v.wantStop(true, "again")
			})
		})
	}
}

func TestOneDamagedBitRevivesNoRevokedKey(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{"its bucket": "KV_GAVEL_KEYS", "the list of revoked keys": "KV_GAVEL_RULES"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			afterStopAndCrash(t, func(t *testing.T, v *vault, crash bool) {
				ctx := t.Context()
				kept, keptSecret, err1 := v.keys.Create(ctx, "kept", keys.Viewer, nil)
				revoked, secret, err2 := v.keys.Create(ctx, "leaked", keys.Admin, nil)
				v.must(err1, err2, v.keys.Revoke(ctx, revoked.Sid))
				v = v.damaged(crash, stream, revoked.Sid)
				if _, ok := v.keys.Authenticate(ctx, revoked.Sid, secret); ok {
					t.Error("the revoked key is valid")
				}
				_, ok := v.keys.Authenticate(ctx, kept.Sid, keptSecret)
				if damage := v.keys.Damage(); ok == (damage != nil) || damage != nil && !strings.Contains(damage.Error(), "nats kv del GAVEL_KEYS") {
					t.Errorf("the other key is valid: %v; damage: %v", ok, damage)
				}
				if v.keys.Damage() != nil {
					v.wantReady("damaged in the store")
				}
			})
		})
	}
}

// A key that damage has removed is refused, and it was so without a line in the log on a process that was ready.
func TestOneDamagedBitLosesNoKeyUnseen(t *testing.T) {
	t.Parallel()
	afterStopAndCrash(t, func(t *testing.T, v *vault, crash bool) {
		ctx := t.Context()
		file := filepath.Join(t.TempDir(), "api-key")
		_, err1 := v.keys.EnsureFirst(ctx, file)
		first, _, err2 := keys.ReadFile(file)
		kept, _, err3 := v.keys.Create(ctx, "kept", keys.Viewer, nil)
		lost, secret, err4 := v.keys.Create(ctx, "lost", keys.Viewer, nil)
		v.must(err1, err2, err3, err4)
		v = v.damaged(crash, "KV_GAVEL_KEYS", lost.Sid)
		if _, ok := v.keys.Authenticate(ctx, lost.Sid, secret); ok {
			t.Error("the damaged key is valid")
		}
		v.wantReady(lost.Sid + " in GAVEL_KEYS: damaged in the store")
		if made, err := v.keys.EnsureFirst(ctx, file); made || err != nil {
			t.Errorf("another first key is made: %v, %v", made, err)
		}
		v.must(v.keys.Revoke(ctx, lost.Sid))
		v.wantReady("")
		v = v.damaged(false, "KV_GAVEL_KEYS", first)
		v.wantReady(first + " in GAVEL_KEYS")
		if made, err := v.keys.EnsureFirst(ctx, file); !made || err != nil {
			t.Errorf("no operator can revoke it: %v, %v", made, err)
		}
		v.must(v.keys.Revoke(ctx, first))
		v.wantReady("")
		if all := v.keys.List(); len(all) != 2 || all[0].Sid != kept.Sid && all[1].Sid != kept.Sid {
			t.Errorf("the keys are %+v", all)
		}
	})
}

// A bucket that an operator removed begins again, with a first key.
func TestAKeyBucketThatWasRemovedBeginsAgain(t *testing.T) {
	t.Parallel()
	v := openVault(t, t.TempDir())
	ctx := t.Context()
	revoked, _, err := v.keys.Create(ctx, "leaked", keys.Admin, nil)
	v.must(err, v.keys.Revoke(ctx, revoked.Sid))
	v = v.damaged(false, "KV_GAVEL_RULES", revoked.Sid)
	if v.keys.Damage() == nil {
		t.Fatal("the damage is not seen")
	}
	v.close()
	v.must(os.RemoveAll(filepath.Join(v.dir, "nats/jetstream/$G/streams/KV_GAVEL_KEYS")))
	v = openVault(t, v.dir)
	if made, err := v.keys.EnsureFirst(ctx, filepath.Join(v.dir, "api-key")); !made || err != nil {
		t.Errorf("made: %v, %v", made, err)
	}
}

// admit is Admit on a machine that runs other tests.
func (v *vault) admit(id string) (got brakes.Verdict, err error) {
	v.answered(func() error {
		got, err = v.brakes.Admit(v.t.Context(), request(id))
		return err
	})
	return got, err
}

// answered calls f again while NATS does not answer within f's own limit.
func (v *vault) answered(f func() error) {
	for {
		err := f()
		if !errors.Is(err, brakes.ErrNoAnswer) || errors.Is(err, events.ErrKeyDamaged) || v.t.Context().Err() != nil {
			return
		}
	}
}

// request would trip a rule that admits one action in an hour.
func request(id string) brakes.Request {
	return brakes.Request{Rule: "end-orphaned", AccountSid: "AC0123456789abcdef0123456789abcdef", ID: id, Limits: rules.Limits{TripAfter: 1}}
}

func TestOneDamagedBitFreesNoTrippedRule(t *testing.T) {
	t.Parallel()
	afterStopAndCrash(t, func(t *testing.T, v *vault, crash bool) {
		ctx := t.Context()
		_, err := v.admit("one")
		v.must(err)
		v = v.damaged(crash, "KV_GAVEL_BRAKES", `"trip"`)
		if got, err := v.admit("two"); !errors.Is(err, events.ErrKeyDamaged) {
			t.Errorf("an action after the damage: %+v, %v", got, err)
		}
		v.wantStop(true, "bucket-damaged")
		v.must(v.brakes.Resume(ctx, "checked", "kate"))
		v.wantStop(false, "")
		if got, err := v.admit("three"); got.Answer != brakes.Admitted || err != nil {
			t.Errorf("after the resume: %+v, %v", got, err)
		}
	})
}

func ruleSet(t *testing.T, name string) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: "rules:\n  - name: " + name + "\n    when: size(conference.live) == 1\n    for: 1m\n    do: [{end: {}}]\n"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestOneDamagedBitBringsNoEarlierRulesIntoForce(t *testing.T) {
	t.Parallel()
	afterStopAndCrash(t, func(t *testing.T, v *vault, crash bool) {
		ctx := t.Context()
		dangerous, careful := ruleSet(t, "dangerous"), ruleSet(t, "careful")
		_, err1 := v.book.Propose(ctx, dangerous, "one:/rules", rulebook.Change)
		_, err2 := v.book.Propose(ctx, careful, "one:/rules", rulebook.Change)
		v.must(err1, err2)
		active, _ := v.book.Active()
		v = v.damaged(crash, "KV_GAVEL_RULES", active.ID)
		if active, some := v.book.Active(); some {
			t.Errorf("in force: %+v", active)
		}
		v.wantStop(true, "bucket-damaged")
		v.wantReady("active in GAVEL_RULES")
		if _, err := v.book.Propose(ctx, dangerous, "one:/rules", rulebook.Start); !errors.Is(err, events.ErrKeyDamaged) {
			t.Errorf("a start proposes: %v", err)
		}
		if _, err := v.book.Propose(ctx, careful, "one:/rules", rulebook.Change); err != nil {
			t.Errorf("an operator proposes: %v", err)
		}
		if active, some := v.book.Active(); !some || active.Version != careful.Version {
			t.Errorf("in force: %+v", active)
		}
		v.wantStop(false, "")
		v.wantReady("")
	})
}

// Rules whose files are lost do not act. A process that has the same files stores them again.
func TestOneDamagedBitInTheFilesOfRulesStopsThem(t *testing.T) {
	t.Parallel()
	v := openVault(t, t.TempDir())
	ctx := t.Context()
	careful := ruleSet(t, "careful")
	_, err := v.book.Propose(ctx, careful, "one:/rules", rulebook.Change)
	v.must(err)
	v.wantStop(false, "")
	v = v.damaged(false, "KV_GAVEL_RULES", "- name: careful")
	if _, err := v.book.Set(ctx, careful.Version); !errors.Is(err, rulebook.ErrUnknownVersion) || !strings.Contains(err.Error(), "SIGHUP") {
		t.Errorf("the damaged set: %v", err)
	}
	v.wantStop(true, "bucket-damaged")
	v.wantReady("set." + careful.Version + " in GAVEL_RULES")
	_, err = v.book.Propose(ctx, careful, "two:/rules", rulebook.Start)
	v.must(err)
	v.wantStop(false, "")
	v.wantReady("")
	v.close()
	v = openVault(t, v.dir)
	if _, err := v.book.Set(ctx, careful.Version); err != nil {
		t.Errorf("after the next start: %v", err)
	}
	v.wantReady("")
}
