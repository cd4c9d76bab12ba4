package natsd

import "testing"

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"2.14.6", "2.15.0-RC.1", "2.14", "", "a.b.c", "2.14.6.1", "-1.2.3"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _ = CheckVersion(s) })
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{
		"2.14.6": true, "2.14.7": true, "2.15.0": true, "2.15.2-RC.1": true, "3.0.0": true,
		"2.14.5": false, "2.13.99": false, "1.99.99": false, "": false, "2.15": false, "dev": false,
	} {
		if err := CheckVersion(version); (err == nil) != good {
			t.Errorf("version %q: %v", version, err)
		}
	}
}
