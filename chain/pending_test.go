package chain

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"
)

// live is how much memory is in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func waitingFile(i int) *record {
	name := fmt.Sprintf("base/5/%d", 16384+i)
	return &record{path: name, name: name, mode: 0o600, time: time.Unix(1700000000, 0), plan: &plan{length: uint32(i % 100), limit: uint32(i % 100)}}
}

func TestManyWaitingFilesNeedLittleMemory(t *testing.T) {
	const n = 300_000
	before := live()
	temp := &scratch{dir: t.TempDir()}
	defer temp.close()
	p, err := newPending(temp)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := p.add(waitingFile(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	// The buffer of the temporary file does not grow.
	if grown := live() - before - scratchBuffer; grown > 50*n {
		t.Errorf("%d bytes for each file", grown/n)
	}
	r := record{plan: &plan{}}
	for i := range n {
		if i%1000 != 0 {
			continue
		}
		want := waitingFile(i)
		s, err := p.find(want.path, &r)
		if err != nil || s == nil || r.path != want.path || r.plan.length != want.plan.length || !r.time.Equal(want.time) {
			t.Fatalf("%d: %+v, %v", i, r, err)
		}
	}
	if s, err := p.find("base/5/1", &r); s != nil || err != nil {
		t.Errorf("what is not there: %v, %v", s, err)
	}
}

func TestFilesWithTheSameHashAreToldApart(t *testing.T) {
	temp := &scratch{dir: t.TempDir(), limit: 100}
	defer temp.close()
	p, err := newPending(temp)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := p.add(waitingFile(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range p.slots { // as if all had hashed alike
		if p.slots[i].state != freeSlot {
			p.slots[i].hash = 7
		}
	}
	old := p.slots
	p.slots = make([]slot, len(old))
	for _, s := range old {
		if s.state != freeSlot {
			p.put(s)
		}
	}
	r := record{plan: &plan{}}
	seen := map[string]bool{}
	for i := range p.slots {
		if p.slots[i].state == freeSlot {
			continue
		}
		if err := p.read(p.slots[i].at(), &r); err != nil {
			t.Fatal(err)
		}
		seen[r.path] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d files are left", len(seen))
	}
	if got, err := p.unfound(1); got != "base/5/16384" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	temp := &scratch{dir: t.TempDir(), limit: 4096}
	defer temp.close()
	p, err := newPending(temp)
	if err != nil {
		t.Fatal(err)
	}
	var written []*record
	var at []int64
	for i := range 200 {
		rec := waitingFile(i)
		rec.plan.sources, rec.plan.extents = []source{}, []extent{}
		for range r.IntN(4) {
			rec.plan.sources = append(rec.plan.sources, source{inFile, r.IntN(9), r.IntN(9), r.Int64(), time.Unix(r.Int64N(1<<33)-1<<32, r.Int64N(1e9))})
		}
		for range r.IntN(200) {
			rec.plan.extents = append(rec.plan.extents, extent{r.Uint32(), r.Uint32(), r.Int32(), r.Int64()})
		}
		offset, err := p.write(rec)
		if err != nil {
			t.Fatal(err)
		}
		written, at = append(written, rec), append(at, offset)
	}
	for i, want := range written {
		got := &record{plan: &plan{}}
		if err := p.read(at[i], got); err != nil {
			t.Fatal(err)
		}
		if len(got.plan.sources) == 0 {
			got.plan.sources = []source{}
		}
		if len(got.plan.extents) == 0 {
			got.plan.extents = []extent{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%d: %+v instead of %+v", i, got, want)
		}
	}
}
