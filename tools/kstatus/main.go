// Command kstatus says what programs that wait for Kubernetes objects make of ours.
//
// Flux and others read conditions by the rules of the library kstatus. Tests ask the library itself: a copy of its
// rules in Python would agree with whatever its author believed. Flux builds on a fork of the module that is pinned
// here; the fork's rules are the same (v1.3.0 compared), but it needs a newer Go.
//
// It reads JSON from stdin: one object, a list ({"items": [...]}) or an array. For each object it prints a line
//
//	name <tab> status <tab> message
//
// where the status is InProgress, Failed, Current, Terminating, NotFound or Unknown. After an error it has printed
// nothing to stdout.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json" // as kstatus expects it: whole numbers are int64, not float64
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var input any
	if err := json.Unmarshal(text, &input); err != nil {
		return fmt.Errorf("stdin is not JSON: %w", err)
	}
	var lines bytes.Buffer
	for i, item := range items(input) {
		object, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("item %d is not an object", i)
		}
		name, _, err := unstructured.NestedString(object, "metadata", "name")
		if err != nil || name == "" {
			return fmt.Errorf("item %d has no metadata.name", i)
		}
		found, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			return fmt.Errorf("item %d, %s: %w", i, name, err)
		}
		message := strings.Join(strings.Fields(found.Message), " ")
		fmt.Fprintf(&lines, "%s\t%s\t%s\n", name, found.Status, message)
	}
	_, err = lines.WriteTo(out)
	return err
}

// items returns what is to be looked at: the elements of an array or a list, or the only object.
func items(input any) []any {
	if list, ok := input.(map[string]any); ok {
		input, ok = list["items"]
		if !ok {
			return []any{list}
		}
	}
	if array, ok := input.([]any); ok {
		return array
	}
	return []any{input}
}
