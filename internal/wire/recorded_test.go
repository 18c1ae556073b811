package wire

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"plague"
	"plague/internal/xmlrpc"
)

var update = flag.Bool("update", false, "record what this minor version says in testdata")

// TestRecorded: what servers and builders of every minor version said is understood
// today, and what is said today still has all that they were told. testdata has a folder
// for each, made by -update before the release.
func TestRecorded(t *testing.T) {
	v, _ := minor(Release())
	today := filepath.Join("testdata", v.String())
	request, answer := said(t, fullOrders(), fullReport())
	if *update {
		record(t, today, request, answer)
	}
	for name, now := range map[string][]byte{"request.xml": request, "answer.xml": answer} {
		then, err := os.ReadFile(filepath.Join(today, name))
		if err != nil || !bytes.Equal(then, now) {
			t.Errorf("version %s says something else than was recorded of it (%v): a new member is fine, `go test ./internal/wire -run Recorded -update` records it", v, err)
		}
	}
	folders, err := filepath.Glob(filepath.Join("testdata", "*.*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("folders: %v, %v", folders, err)
	}
	for _, dir := range folders {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for name, now := range map[string][]byte{"request.xml": request, "answer.xml": answer} {
				then, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := holds(plain(t, name, now), plain(t, name, then)); err != nil {
					t.Errorf("one of that version misses in today's %s: %v", name, err)
				}
				if err := holds(understood(t, name, then), plain(t, name, then)); err != nil {
					t.Errorf("today's program does not understand its %s: %v", name, err)
				}
			}
		})
	}
}

// TestNewer: members that a newer version adds anywhere change nothing.
func TestNewer(t *testing.T) {
	request, answer := said(t, fullOrders(), fullReport())
	for name, now := range map[string][]byte{"request.xml": request, "answer.xml": answer} {
		const later = "<struct><member><name>of_tomorrow</name><value><struct><member><name>a</name><value><array><data><value><int>1</int></value></data></array></value></member></struct></value></member>"
		newer := bytes.ReplaceAll(now, []byte("<struct>"), []byte(later))
		const macros = "<name>macros</name><value>" // whose names are the target's, and no members
		newer = bytes.ReplaceAll(newer, []byte(macros+later), []byte(macros+"<struct>"))
		if n := bytes.Count(now, []byte("<struct>")); n < 5 {
			t.Errorf("%s has %d structs only", name, n)
		}
		if got, want := understood(t, name, newer), understood(t, name, now); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is understood as\n%v, want\n%v", name, got, want)
		}
	}
}

// TestOlder: a report, or orders, without anything that may be missing are understood,
// and what is missing is as if it were zero.
func TestOlder(t *testing.T) {
	report := map[string]any{"builder": "b1", "instance": "i", "version": 1, "farm": "f", "term": 1, "sequence": 1, "slots": 1, "arches": []any{"x86_64"},
		"attempts": []any{map[string]any{"arch_job": 1, "number": 1, "token": "t", "phase": "building"}}}
	var r plague.Report
	want := plague.Report{Builder: "b1", Instance: "i", Version: 1, Farm: "f", Term: 1, Sequence: 1, Slots: 1, Arches: []string{"x86_64"},
		Attempts: []plague.AttemptReport{{AttemptID: plague.AttemptID{ArchJob: 1, Number: 1, Token: "t"}, Phase: plague.PhaseBuilding}}}
	if err := xmlrpc.Unmarshal(report, &r); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	orders := map[string]any{"farm": "f", "term": 1, "sequence": 1, "attempts": []any{map[string]any{"arch_job": 1, "number": 1, "token": "t", "verb": "stop"}}}
	var o plague.Orders
	if err := xmlrpc.Unmarshal(orders, &o); err != nil || o.Software != "" || o.Wait != 0 || len(o.Attempts) != 1 || o.Attempts[0].Work != nil {
		t.Errorf("%+v, %v", o, err)
	}
}

// mute is a builder that answers with one report, and keeps the orders.
type mute struct {
	report plague.Report
	orders plague.Orders
}

func (m *mute) Sync(_ context.Context, o plague.Orders) (plague.Report, error) {
	m.orders = o
	return m.report, nil
}

func (m *mute) Report() plague.Report { return m.report }

// said is what goes over the line for orders and a report.
func said(t *testing.T, o plague.Orders, r plague.Report) (request, answer []byte) {
	t.Helper()
	door := xmlrpc.NewHandler(BuilderMethods(&mute{report: r}), xmlrpc.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		request, _ = io.ReadAll(in.Body) // a part of it is no call
		in.Body = io.NopCloser(bytes.NewReader(request))
		kept := httptest.NewRecorder()
		door.ServeHTTP(kept, in)
		answer = kept.Body.Bytes()
		w.Header().Set("Content-Type", "text/xml")
		w.Write(answer)
	}))
	defer s.Close()
	b := Builder{RPC: &xmlrpc.Client{URL: s.URL}}
	if _, err := b.Sync(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return request, answer
}

// understood is what today's program makes of a request or an answer, as plain values.
func understood(t *testing.T, name string, body []byte) any {
	t.Helper()
	if name == "request.xml" {
		m := &mute{}
		post(t, BuilderMethods(m), body)
		return marshalled(t, m.orders)
	}
	r, err := (&Builder{RPC: answering(t, body)}).Sync(t.Context(), plague.Orders{})
	if err != nil {
		t.Fatal(err)
	}
	return marshalled(t, r)
}

// plain is what a request or an answer says, whatever it means.
func plain(t *testing.T, name string, body []byte) (v any) {
	t.Helper()
	if name == "request.xml" {
		post(t, []xmlrpc.Method{{Name: CallSync, Signatures: [][]string{{"struct", "struct"}}, Func: func(_ context.Context, params []any) (any, error) {
			v = params[0]
			return true, nil
		}}}, body)
		return v
	}
	v, err := answering(t, body).Call(t.Context(), CallSync)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func post(t *testing.T, methods []xmlrpc.Method, body []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, RPCPath, bytes.NewReader(body))
	r.Header.Set("Content-Type", "text/xml")
	w := httptest.NewRecorder()
	xmlrpc.NewHandler(methods, xmlrpc.Options{}).ServeHTTP(w, r)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<fault>") {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
}

// answering is a client whose every call is answered the same.
func answering(t *testing.T, body []byte) *xmlrpc.Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.Write(body)
	}))
	t.Cleanup(s.Close)
	return &xmlrpc.Client{URL: s.URL}
}

func marshalled(t *testing.T, v any) any {
	t.Helper()
	p, err := xmlrpc.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// holds says what of then is missing in now, or is another.
func holds(now, then any) error {
	switch then := then.(type) {
	case map[string]any:
		members, ok := now.(map[string]any)
		if !ok {
			return fmt.Errorf("%T in place of a struct", now)
		}
		for name, v := range then {
			if _, there := members[name]; !there {
				return fmt.Errorf("%s: it is gone", name)
			}
			if err := holds(members[name], v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case []any:
		list, ok := now.([]any)
		if !ok || len(list) != len(then) {
			return fmt.Errorf("%v in place of %v", now, then)
		}
		for i, v := range then {
			if err := holds(list[i], v); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
		return nil
	}
	if at, ok := then.(time.Time); ok && at.Equal(now.(time.Time)) {
		return nil
	}
	if !reflect.DeepEqual(now, then) {
		return fmt.Errorf("%v in place of %v", now, then)
	}
	return nil
}

func record(t *testing.T, dir string, request, answer []byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"request.xml": request, "answer.xml": answer} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
