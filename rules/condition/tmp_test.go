package condition
import ("testing";"fmt";"pgregory.net/rapid";"gavel/events")
func TestTmp(t *testing.T){
 table := tableOfChanges()
 for range 10 {
  changed := map[string]Kinds{}; n:=0
	for _, story := range rareStories(t) { noteStory(t, changed, story) }
	if len(missing(table,changed))>0 {t.Fatal(missing(table,changed))}
  for range 60 {
    n++
		rapid.Check(t, func(t *rapid.T) {
			story := make([]*events.Event, rapid.IntRange(1, 40).Draw(t, "events"))
			for i := range story {
				story[i] = wildEvent(t, i)
			}
			noteStory(t, changed, story)
		})
    m:=missing(changed, table)
    if m==nil {break}
    if n>1 {fmt.Println(n,m)}
  }
  fmt.Println("rounds",n)
 }
}
