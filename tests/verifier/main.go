// SPDX-License-Identifier: Apache-2.0

// A verifier of the audit log that shares no line with the vault: Go's own
// transparency-log packages (golang.org/x/mod/sumdb/note and tlog) over the
// log's files. DIR is a folder, or the http:// address of a server that serves it.
//
//	verifier verify DIR VKEY [OLD-CHECKPOINT]   whole log, sampled inclusion proofs, growth;
//	                                            what is gone must have been pruned lawfully
//	verifier proof FILE ENTRY VKEY              a .tlog-proof
//	verifier mutate DIR VKEY COUNT SEED         single-byte changes; each must be noticed
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile: 256 hashes

type log struct {
	dir    string
	files  map[string][]byte // what was read, and changed in mutate
	tree   tlog.Tree
	pruned int64 // entries that may be missing, from the first on
	gone   int64 // and are
}

// A log is a folder, or a web server that serves it.
func read(dir, path string) ([]byte, error) {
	if !strings.HasPrefix(dir, "http://") {
		return os.ReadFile(filepath.Join(dir, path))
	}
	answer, err := http.Get(dir + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == 404 {
		return nil, fs.ErrNotExist
	}
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (l *log) file(path string) ([]byte, error) {
	if content, ok := l.files[path]; ok {
		return content, nil
	}
	content, err := read(l.dir, path)
	if err == nil {
		l.files[path] = content
	}
	return content, err
}

// tile/8/L/N of the package is tile/L/N of the layout.
func tilePath(t tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(t.Path(), "tile/8/")
}

func entriesPath(n int64, width int) string {
	t := tlog.Tile{H: height, L: 0, N: n, W: width}
	return "tile/entries/" + strings.TrimPrefix(t.Path(), "tile/8/0/")
}

func (l *log) Height() int { return height }
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		content, err := l.file(tilePath(t))
		if err != nil {
			return nil, err
		}
		if len(content) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", tilePath(t), len(content))
		}
		out = append(out, content)
	}
	return out, nil
}
func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

func openCheckpoint(msg []byte, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	for _, sig := range n.Sigs { // the package ignores unused bits at the end
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return tree, err
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not the checkpoint of %s", verifier.Name())
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(tree.N, 10) != lines[1] {
		return tree, fmt.Errorf("not a size: %q", lines[1])
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return tree, fmt.Errorf("not a root: %q", lines[2])
	}
	copy(tree.Hash[:], hash)
	return tree, nil
}

func openLog(dir, vkey string) (*log, error) {
	l := &log{dir: dir, files: map[string][]byte{}}
	msg, err := l.file("checkpoint")
	if err != nil {
		return nil, err
	}
	l.tree, err = openCheckpoint(msg, vkey)
	return l, err
}

func (l *log) width(n int64) int {
	if left := l.tree.N - n*256; left < 256 {
		return int(left)
	}
	return 256
}

func split(bundle []byte, width int) ([][]byte, error) {
	var entries [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle)-2 < int(bundle[0])<<8|int(bundle[1]) {
			return nil, fmt.Errorf("cut short")
		}
		size := int(bundle[0])<<8 | int(bundle[1])
		entries = append(entries, bundle[2:2+size])
		bundle = bundle[2+size:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%d entries, not %d", len(entries), width)
	}
	return entries, nil
}

// Hashes as the tiles give them, not yet shown to lie under the signed root.
type rawHashes struct{ *log }

func (r rawHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, index := range indexes {
		t := tlog.TileForIndex(height, index)
		if whole := r.tree.N >> uint(height*t.L); whole-t.N*256 < 256 {
			t.W = int(whole - t.N*256)
		} else {
			t.W = 256
		}
		content, err := r.ReadTiles([]tlog.Tile{t})
		if err != nil {
			return nil, err
		}
		hash, err := tlog.HashFromTile(t, content[0], index)
		if err != nil {
			return nil, err
		}
		out = append(out, hash)
	}
	return out, nil
}

// Every byte of a tile is under the signed root: a full tile gives the hash in
// the tile above, and those at the right edge give the root. (The package's
// TileHashReader, as of 0.7.0, leaves tiles unchecked when several subtrees of the
// root share a tile.)
func (l *log) verifyTile(t tlog.Tile) error {
	content, err := l.ReadTiles([]tlog.Tile{t})
	if err != nil {
		return err
	}
	if t.W < 256 {
		root, err := tlog.TreeHash(l.tree.N, rawHashes{l})
		if err == nil && root != l.tree.Hash {
			err = fmt.Errorf("the tiles do not give the signed root")
		}
		return err
	}
	parent := l.tile(t.L+1, t.N/256)
	row := make([]tlog.Hash, 256)
	for i := range row {
		copy(row[i][:], content[0][i*tlog.HashSize:])
	}
	for len(row) > 1 {
		for i := 0; i < len(row)/2; i++ {
			row[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	above, err := l.ReadTiles([]tlog.Tile{parent})
	if err != nil {
		return err
	}
	at := int(t.N%256) * tlog.HashSize
	if !bytes.Equal(above[0][at:at+tlog.HashSize], row[0][:]) {
		return fmt.Errorf("%s does not give the hash above it", tilePath(t))
	}
	return l.verifyTile(parent)
}

func (l *log) tile(level int, n int64) tlog.Tile {
	t := tlog.Tile{H: height, L: level, N: n, W: 256}
	if left := l.tree.N>>uint(height*level) - n*256; left < 256 {
		t.W = int(left)
	}
	return t
}

// One bundle of entries against its tile, and that against the signed root.
func (l *log) verifyBundle(n int64) error {
	width := l.width(n)
	content, err := l.file(entriesPath(n, width))
	if errors.Is(err, fs.ErrNotExist) && (n+1)*256 <= l.pruned {
		l.gone += 256
		return l.verifyTile(l.tile(0, n)) // the hashes stay
	}
	if err != nil {
		return err
	}
	entries, err := split(content, width)
	if err != nil {
		return fmt.Errorf("bundle %d: %v", n, err)
	}
	tile := l.tile(0, n)
	hashes, err := l.ReadTiles([]tlog.Tile{tile})
	if err != nil {
		return err
	}
	for i, entry := range entries {
		hash := tlog.RecordHash(entry)
		if !bytes.Equal(hash[:], hashes[0][i*tlog.HashSize:(i+1)*tlog.HashSize]) {
			return fmt.Errorf("entry %d is not what was signed", n*256+int64(i))
		}
		var event struct {
			Sequence int64 `json:"sequence"`
		}
		if json.Unmarshal(entry, &event) != nil || event.Sequence != n*256+int64(i)+1 {
			return fmt.Errorf("entry %d does not bear its number", n*256+int64(i))
		}
	}
	return l.verifyTile(tile)
}

func (l *log) entry(index int64) ([]byte, error) {
	content, err := l.file(entriesPath(index/256, l.width(index/256)))
	if err != nil {
		return nil, err
	}
	entries, err := split(content, l.width(index/256))
	if err != nil {
		return nil, err
	}
	return entries[index%256], nil
}

func (l *log) verifyRecordProof(index int64) error {
	proof, err := tlog.ProveRecord(l.tree.N, index, tlog.TileHashReader(l.tree, l))
	if err != nil {
		return err
	}
	entry, err := l.entry(index)
	if errors.Is(err, fs.ErrNotExist) && index < l.pruned {
		return nil
	}
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, index, tlog.RecordHash(entry))
}

// The file pruned names an entry of the log, and it is that entry which is believed.
func (l *log) readPruned() error {
	text, err := l.file("pruned")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var until, sequence int64
	_, err = fmt.Sscanf(string(text), "%d\n%d\n", &until, &sequence)
	if err != nil || string(text) != fmt.Sprintf("%d\n%d\n", until, sequence) {
		return fmt.Errorf("the file pruned is damaged")
	}
	if sequence <= until || sequence > l.tree.N {
		return fmt.Errorf("the file pruned names entry %d, which is not there", sequence)
	}
	if err := l.verifyRecordProof(sequence - 1); err != nil {
		return fmt.Errorf("the entry that the file pruned names: %v", err)
	}
	entry, err := l.entry(sequence - 1)
	if err != nil {
		return err
	}
	var event struct{ Kind, Operation, Outcome, Subject string }
	var permitted int64
	if json.Unmarshal(entry, &event) != nil || event.Kind != "vault" || event.Operation != "audit.prune" || event.Outcome != "allow" {
		return fmt.Errorf("entry %d is about no pruning", sequence)
	}
	_, err = fmt.Sscanf(event.Subject, "entries 1 to %d", &permitted)
	if err != nil || event.Subject != fmt.Sprintf("entries 1 to %d", permitted) || permitted < until {
		return fmt.Errorf("entry %d does not permit to prune %d entries", sequence, until)
	}
	l.pruned = until
	return nil
}

func verify(dir, vkey string, old string) error {
	l, err := openLog(dir, vkey)
	if err != nil {
		return err
	}
	if err := l.readPruned(); err != nil {
		return err
	}
	for n := int64(0); n*256 < l.tree.N; n++ {
		if err := l.verifyBundle(n); err != nil {
			return err
		}
	}
	step := l.tree.N/500 + 1
	proofs := 0
	for index := int64(0); index < l.tree.N; index += step {
		if err := l.verifyRecordProof(index); err != nil {
			return fmt.Errorf("inclusion of %d: %v", index, err)
		}
		proofs++
	}
	if old != "" {
		msg, err := os.ReadFile(old)
		if err != nil {
			return err
		}
		before, err := openCheckpoint(msg, vkey)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(l.tree.N, before.N, tlog.TileHashReader(l.tree, l))
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, l.tree.N, l.tree.Hash, before.N, before.Hash); err != nil {
			return fmt.Errorf("growth from %d: %v", before.N, err)
		}
	}
	fmt.Printf("%d entries, %d inclusion proofs", l.tree.N, proofs)
	if l.gone > 0 {
		fmt.Printf(", %d entries were pruned", l.gone)
	}
	fmt.Println()
	return nil
}

func verifyProofFile(file, entryFile, vkey string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return err
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return fmt.Errorf("not a proof file")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		var hash tlog.Hash
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return fmt.Errorf("not a hash: %q", line)
		}
		copy(hash[:], raw)
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint(checkpoint, vkey)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// ---- Mutation ----

type target struct {
	path  string
	check func() error // reads everything that depends on that file
}

func (l *log) targets(vkey string) []target {
	all := []target{{"checkpoint", func() error {
		tree, err := openCheckpoint(l.files["checkpoint"], vkey)
		if err == nil && tree != l.tree {
			err = fmt.Errorf("another tree")
		}
		return err
	}}}
	for n := int64(0); n*256 < l.tree.N; n++ {
		n := n
		all = append(all, target{entriesPath(n, l.width(n)), func() error { return l.verifyBundle(n) }})
	}
	for level, count := 0, l.tree.N; count > 0; level, count = level+1, count/256 {
		for n := int64(0); n*256 < count; n++ {
			t := l.tile(level, n)
			all = append(all, target{tilePath(t), func() error { return l.verifyTile(t) }})
		}
	}
	return all
}

func mutate(dir, vkey string, count int, seed int64) error {
	l, err := openLog(dir, vkey)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewSource(seed))
	all := l.targets(vkey)
	for i := 0; i < count; i++ {
		t := all[random.Intn(len(all))]
		if i%20 == 0 {
			t = all[0] // the checkpoint is one file of many
		}
		content, err := l.file(t.path)
		if err != nil {
			return err
		}
		if err := t.check(); err != nil {
			return fmt.Errorf("%s unchanged: %v", t.path, err)
		}
		at, bit := random.Intn(len(content)), byte(1)<<random.Intn(8)
		changed := append([]byte{}, content...)
		changed[at] ^= bit
		l.files[t.path] = changed
		err = t.check()
		l.files[t.path] = content
		if err == nil {
			return fmt.Errorf("%s: a change of byte %d was not noticed", t.path, at)
		}
	}
	fmt.Printf("%d changes noticed\n", count)
	return nil
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fail(err)
	}
	return n
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "verifier:", err)
	os.Exit(1)
}

func main() {
	args := append(os.Args[1:], "", "", "", "", "")
	var err error
	switch args[0] {
	case "verify":
		err = verify(args[1], args[2], args[3])
	case "proof":
		err = verifyProofFile(args[1], args[2], args[3])
	case "mutate":
		err = mutate(args[1], args[2], int(number(args[3])), number(args[4]))
	default:
		fmt.Fprintln(os.Stderr, "usage: verifier verify|proof|mutate …")
		os.Exit(2)
	}
	if err != nil {
		fail(err)
	}
}
