// Package web is what a browser and dnf see: the list of jobs, the result
// tree, the repositories. It only reads.
package web

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"plague"
	"plague/internal/durable"
	"plague/internal/repo"
	"plague/internal/store"
)

//go:embed template static
var files embed.FS

// Config is what the pages show.
type Config struct {
	DB      *store.DB
	Results *durable.Dir // server_work_dir: everything below it is public
	Targets func() []plague.Target
	URL     string // https://host:port of these pages
	CA      string // path of the CA's certificate on clients, for .repo files
	Log     *slog.Logger
}

type site struct {
	Config
	pages *template.Template
}

// Handler serves the pages. Nothing it serves needs a certificate, and nothing
// below Results is secret.
func Handler(c Config) http.Handler {
	s := &site{Config: c, pages: template.Must(template.New("").Funcs(template.FuncMap{
		"ago": ago, "results": resultsOf, "when": when,
	}).ParseFS(files, "template/*.html"))}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", s.page(s.jobs))
	mux.Handle("GET /static/", http.FileServerFS(files))
	mux.Handle("GET /repos/{target}/{arch}/mirrorlist", s.page(s.mirrorlist))
	mux.Handle("GET /repos/{target}/{arch}/plague.repo", s.page(s.dotRepo))
	mux.Handle("GET /{path...}", s.page(s.tree))
	return headers(mux)
}

// headers: pages carry no script and no style but their own, and a browser
// must not guess that a log is a page.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// page turns an error into a status and a page, and logs it once.
func (s *site) page(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		switch {
		case err == nil || r.Context().Err() != nil:
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, plague.ErrNotFound):
			s.fail(w, http.StatusNotFound, "There is nothing here.")
		case errors.Is(err, plague.ErrInvalid):
			s.fail(w, http.StatusBadRequest, err.Error())
		default:
			s.Log.ErrorContext(r.Context(), "page not served", "path", r.URL.Path, "error", err)
			s.fail(w, http.StatusInternalServerError, "The server could not do this; its log says why.")
		}
	})
}

func (s *site) fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := s.pages.ExecuteTemplate(w, "error.html", map[string]any{"Title": http.StatusText(status), "Text": text}); err != nil {
		s.Log.Debug("error page not sent", "error", err)
	}
}

// target finds the target and arch that a repository's address names.
func (s *site) target(r *http.Request) (*plague.Target, string, error) {
	targets := s.Targets()
	for i := range targets {
		t := &targets[i]
		if t.String() != r.PathValue("target") {
			continue
		}
		for _, arch := range t.BaseArches {
			if arch == r.PathValue("arch") {
				return t, arch, nil
			}
		}
	}
	return nil, "", plague.ErrNotFound
}

// mirrorlist answers dnf with the newest snapshot's address: what it then
// reads is one state, whatever is published meanwhile.
func (s *site) mirrorlist(w http.ResponseWriter, r *http.Request) error {
	t, arch, err := s.target(r)
	if err != nil {
		return err
	}
	n, err := s.DB.Current(r.Context(), t.String(), plague.LineBuild)
	if err != nil {
		return err
	}
	if n == 0 {
		return plague.ErrNotFound
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err = fmt.Fprintf(w, "%s/repos/%s/%s/@%d/\n", s.URL, t, arch, n)
	return err
}

func (s *site) dotRepo(w http.ResponseWriter, r *http.Request) error {
	t, arch, err := s.target(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = fmt.Fprint(w, repo.DotRepo(t.String(), arch, s.URL, s.CA))
	return err
}

// resultsOf is a job's folder in the result tree, as its address.
func resultsOf(j plague.Job) string { return fmt.Sprintf("/%s/%d-%s/", j.Target, j.UID, j.NVR()) }

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ago says how long something took or has taken, in the largest unit that fits.
func ago(from, to time.Time) string {
	d := to.Sub(from)
	switch {
	case from.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
