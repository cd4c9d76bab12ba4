package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

var restRows = []row{
	{"R1", "list without Status of a completed and a live conference, list_default in-progress", "1 of 1", func(w *world) string {
		w.settings = "rest: {list_default: in-progress}\n"
		w.callback("conference-start")
		w.callback("conference-end", "ConferenceSid", strings.Replace(conference, "e08c", "0000", 1), "ReasonConferenceEnded", "last-participant-left")
		w.field(conferences+".json?Status=completed", "conferences.0.sid")
		w.field(conferences+".json", "conferences.0.sid")
		_, body := w.get(conferences + ".json")
		return fmt.Sprintf("%d of %d", strings.Count(body, `"status":"in-progress"`), strings.Count(body, `"account_sid"`))
	}},
	{"R2", "Muted=True", "200", func(w *world) string {
		w.callback("participant-join")
		w.field(conferences+"/"+conference+".json", "sid")
		status, _ := w.get(conferences + "/" + conference + "/Participants.json?Muted=True")
		return fmt.Sprint(status)
	}},
	{"R3", "GET Calls.json", "404, 20404, names what is served", func(w *world) string {
		status, body := w.get("/2010-04-01/Accounts/" + account + "/Calls.json")
		says := "says nothing"
		if strings.Contains(body, "Gavel serves conferences") {
			says = "names what is served"
		}
		return fmt.Sprintf("%d, %s, %s", status, member(body, "code"), says)
	}},
	{"R4", "a list without .json; page 1 without its token", "200, 400", func(w *world) string {
		plain, _ := w.get(conferences)
		page, _ := w.get(conferences + ".json?Page=1")
		return fmt.Sprintf("%d, %d", plain, page)
	}},
	{"R4", "a conference, its participants and a leg without .json; a write without .json", "200, 200, 200, 200", func(w *world) string {
		w.twilioAPI = answers(http.StatusOK, `{"call_sid":"`+call+`","status":"connected","muted":true}`)
		w.callback("participant-join")
		path := conferences + "/" + conference
		w.field(path+".json", "sid")
		var statuses []string
		for _, below := range []string{"", "/Participants", "/Participants/" + call} {
			status, _ := w.get(path + below)
			statuses = append(statuses, fmt.Sprint(status))
		}
		status, _ := w.send(http.MethodPost, path+"/Participants/"+call, "Muted=true", "Content-Type", "application/x-www-form-urlencoded")
		return strings.Join(append(statuses, fmt.Sprint(status)), ", ")
	}},
	{"R4", "POST of a conference's recordings", "405, 20004, says how", func(w *world) string {
		status, body := w.send(http.MethodPost, conferences+"/"+conference+"/Recordings.json", "", "Content-Type", "application/x-www-form-urlencoded")
		says := "says nothing"
		if strings.Contains(member(body, "message"), "ConferenceRecord") {
			says = "says how"
		}
		return fmt.Sprintf("%d, %s, %s", status, member(body, "code"), says)
	}},
	{"R4", "two pages of one conference each: the second by its link, and by its number alone", "page 1 has the other; 400", func(w *world) string {
		w.callback("conference-start")
		w.callback("conference-start", "ConferenceSid", strings.Replace(conference, "e08c", "0000", 1))
		w.field(conferences+".json", "conferences.1.sid")
		_, first := w.get(conferences + ".json?PageSize=1")
		_, second := w.get(member(first, "next_page_uri"))
		seen := "page " + member(second, "page") + " has the same"
		if sid := member(second, "conferences.0.sid"); sid != "" && sid != member(first, "conferences.0.sid") {
			seen = "page " + member(second, "page") + " has the other"
		}
		status, _ := w.get(conferences + ".json?PageSize=1&Page=1")
		return fmt.Sprintf("%s; %d", seen, status)
	}},
	{"R5", "PageSize=1001", "1000", func(w *world) string { return w.field(conferences+".json?PageSize=1001", "page_size") }},
	{"R6", "a subaccount read with its parent's token, its own Twilio key, and a stranger's token", "200, 200, 401", func(w *world) string {
		const subaccount, key = "AC00000000000000000000000000000002", "SK00000000000000000000000000000003"
		w.settings = accountSettings("") + "  - {sid: " + subaccount + ", parent: " + account + ", auth_tokens: {current: its own}," +
			" api_key: {sid: " + key + ", secret: of the key}}\n"
		var statuses []string
		for _, login := range [][2]string{{account, token}, {key, "of the key"}, {account, "its own"}} {
			request := http.Request{Header: http.Header{}}
			request.SetBasicAuth(login[0], login[1])
			path := "/2010-04-01/Accounts/" + subaccount + "/Conferences.json"
			status, _ := w.send(http.MethodGet, path, "", "Authorization", request.Header.Get("Authorization"))
			statuses = append(statuses, fmt.Sprint(status))
		}
		return strings.Join(statuses, ", ")
	}},
	{"X4", "Twilio's proxy answers 502 in HTML, then 307", "502, 20502; 502, 20502", func(w *world) string {
		statuses := make(chan int, 2)
		statuses <- http.StatusBadGateway
		statuses <- http.StatusTemporaryRedirect
		w.twilioAPI = http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Location", "/elsewhere")
			answer.WriteHeader(<-statuses)
			_, _ = io.WriteString(answer, "<html></html>") // the row sees what the client gets
		})
		var seen []string
		for range 2 {
			status, body := w.update(url.Values{"Status": {"completed"}})
			seen = append(seen, fmt.Sprintf("%d, %s", status, member(body, "code")))
		}
		return strings.Join(seen, "; ")
	}},
	{"V4", "POST of a conference with an empty form", "400, 21201", func(w *world) string {
		w.twilioAPI = http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Content-Type", "application/json")
			answer.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(answer, `{"code":21201,"message":"No parameter","status":400}`) // as above
		})
		status, body := w.update(nil)
		return fmt.Sprintf("%d, %s", status, member(body, "code"))
	}},
}

// update posts a form to the conference through the Twilio-shaped API.
func (w *world) update(form url.Values) (status int, body string) {
	return w.send(http.MethodPost, conferences+"/"+conference+".json", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}
