package cli

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A builder whose answer says that it is elsewhere is not believed: the server would
// fetch from its own network what users then read as a log.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server went there") }))
	defer inside.Close()
	hostile := httptest.NewTLSServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer hostile.Close()
	resp, err := httpsClient(&tls.Config{InsecureSkipVerify: true}).Get(hostile.URL + "/attempt/1/1/build.log")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("%s, %v", resp.Status, err)
	}
}
