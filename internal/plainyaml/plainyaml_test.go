package plainyaml_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/plainyaml"
)

type settings struct {
	Text     string            `yaml:"text"`
	Texts    map[string]string `yaml:"texts"`
	List     []string          `yaml:"list"`
	Number   int64             `yaml:"number"`
	Optional *int64            `yaml:"optional"`
	Flag     *bool             `yaml:"flag"`
	After    time.Duration     `yaml:"after"`
}

func TestANumberIsTheTextThatWasWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0123", "+15005550006", "0x1F", "0b11", "0o17", "1_000", "1e5", "1.50", ".inf", "-0", "12345678901234567890123"} {
		var got settings
		if err := plainyaml.Decode([]byte("\ufefftext: "+text+"\ntexts: {a: "+text+"}\nlist: ["+text+"]\n"), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		want := settings{Text: text, Texts: map[string]string{"a": text}, List: []string{text}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestANumberIsOneWhereANumberIsWanted(t *testing.T) {
	t.Parallel()
	var got settings
	if err := plainyaml.Decode([]byte("number: 50000000000\noptional: 0\nflag: true\nafter: 5s\n"), &got); err != nil {
		t.Fatal(err)
	}
	want := settings{Number: 50_000_000_000, Optional: new(int64(0)), Flag: new(true), After: 5 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatIsNoSettingIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"unknown: 1", "number: many", "after: 5", "text: 1\ntext: 2", "text: [", "list: 5"} {
		if err := plainyaml.Decode([]byte(text), new(settings)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for _, text := range []string{"", "# a comment\n", "\n\n"} {
		if err := plainyaml.Decode([]byte(text), new(settings)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
