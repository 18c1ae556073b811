package farmtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"plague"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// users are those of the farm. The last one is known and may do nothing, and
// a stranger is not known at all.
func users() []plague.User {
	return []plague.User{
		{Email: "ann@farm", Capabilities: []plague.Capability{plague.OwnJobs}},
		{Email: "bob@farm", Capabilities: []plague.Capability{plague.OwnJobs}},
		{Email: "root@farm", Capabilities: plague.Capabilities()},
		{Email: "guest@farm"},
	}
}

const stranger = "stranger@farm"

// Person is a user at a client.
type Person struct {
	w     *World
	email string
	http  *http.Client
	wire.User
}

// Person gives a user his client. His own machine never fails.
func (w *World) Person(email string) *Person {
	c := &http.Client{Transport: &Caller{w.net, "home of " + email, email, NewPower(nil)}}
	return &Person{w: w, email: email, http: c, User: wire.User{RPC: &xmlrpc.Client{URL: "https://" + usersHost + wire.RPCPath, HTTP: c}}}
}

// patience is how long a person tries.
const patience = 5 * time.Minute

// retryAfter is how soon a person tries again.
const retryAfter = time.Second

// Build uploads an SRPM and submits it, trying again where the network or the
// server is at fault.
func (p *Person) Build(ctx context.Context, s wire.Submission, srpm []byte) (plague.JobID, error) {
	s.SRPM, s.Size = fmt.Sprintf("%x", sha256.Sum256(srpm)), int64(len(srpm))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		out, err := p.Submit(ctx, s)
		if err == nil && !out.Upload {
			return out.UID, nil
		}
		if err == nil {
			err = p.upload(ctx, s.SRPM, out.Offset, srpm)
		}
		if refused(err) {
			return 0, err
		}
		if wait := pause(ctx, retryAfter); wait != nil {
			return 0, errors.Join(wait, err)
		}
	}
}

// Watch follows the log of a job's build for an arch to its end: all of one
// attempt, or as much of it as came.
func (p *Person) Watch(ctx context.Context, uid plague.JobID, arch string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+usersHost+wire.LogPath(uid, arch, "build.log")+"?follow=1", nil)
	if err != nil {
		return "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// refused says that the farm has decided, and the same again would do no good.
func refused(err error) bool {
	for _, kind := range []error{plague.ErrInvalid, plague.ErrDenied, plague.ErrNotFound, plague.ErrConflict} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func (p *Person) upload(ctx context.Context, digest string, offset int64, srpm []byte) error {
	if offset > int64(len(srpm)) {
		offset = 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+usersHost+wire.SRPMPath(digest), bytes.NewReader(srpm[offset:]))
	if err != nil {
		return err
	}
	req.Header.Set(wire.OffsetHeader, strconv.FormatInt(offset, 10))
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusCreated, http.StatusConflict: // somebody else uploads the same
		return nil
	case http.StatusForbidden:
		return plague.ErrDenied
	case http.StatusBadRequest:
		return plague.ErrInvalid
	}
	return errors.New(resp.Status)
}
