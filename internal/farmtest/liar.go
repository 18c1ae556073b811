package farmtest

import (
	"context"
	"net/http"
	"path"
	"strings"

	"plague"
	"plague/internal/builder"
	"plague/internal/rpm"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// liar stands before a builder's door, reports what the builder did not do, and
// serves it.
type liar struct {
	*builder.Builder
	w *World
}

func (l liar) door() http.Handler {
	honest := l.Door()
	mux := http.NewServeMux()
	mux.Handle(wire.RPCPath, xmlrpc.NewHandler(wire.BuilderMethods(l), xmlrpc.Options{Fault: wire.Fault(l.Log), Timeout: 2 * wire.MaxWait}))
	mux.HandleFunc("GET /attempt/{archjob}/{number}/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(path.Base(r.PathValue("name")), "other-"), ".sh")
		r.URL.Path, r.URL.RawPath = path.Join("/attempt", r.PathValue("archjob"), r.PathValue("number"), name), ""
		honest.ServeHTTP(w, r)
	})
	return mux
}

// Sync hands on the orders and spoils the report.
func (l liar) Sync(ctx context.Context, o plague.Orders) (plague.Report, error) {
	r, err := l.Builder.Sync(ctx, o)
	for i := range r.Attempts {
		l.spoil(&r.Attempts[i])
	}
	return r, err
}

// spoil tells one lie about an attempt, the same each time.
func (l liar) spoil(a *plague.AttemptReport) {
	if a.Phase != plague.PhaseDone || l.w.settled() {
		return
	}
	at := 0
	for i, f := range a.Artifacts {
		if strings.HasSuffix(f.Name, ".rpm") {
			at = i
		}
	}
	files := append([]plague.Artifact(nil), a.Artifacts...)
	f := &files[at]
	switch hash(a.Token) % 7 {
	case 0:
		f.Digest = strings.Repeat("0", 64)
	case 1:
		f.Name = "../" + f.Name
	case 2:
		f.Name = "other-" + f.Name
	case 3:
		files = append(files, plague.Artifact{Name: "other-" + f.Name + ".sh", Digest: f.Digest, Size: f.Size})
	case 4:
		f.Size++
	case 5:
		files = nil
	default:
		return // honest this time
	}
	l.w.lied(a.ArchJob)
	a.Artifacts = files
}

// forged is an RPM that does not belong to its job: of another source package,
// for another arch, or another package's in a file of the right name.
func forged(id string, n rpm.NEVRA, source string) (file string, content rpm.Blank) {
	f := rpm.Blank{NEVRA: n, SourceRPM: source, BuildHost: "attempt " + id}
	switch hash(id) % 4 {
	case 0:
		f.SourceRPM = "other-1-1.src.rpm"
	case 1:
		f.Arch = "s390x"
	case 2:
		f.Name = "other"
		return n.Filename(), f
	case 3:
		f.Release += "9"
		f.SourceRPM = strings.TrimSuffix(source, ".src.rpm") + "9.src.rpm"
	}
	return f.Filename(), f
}
