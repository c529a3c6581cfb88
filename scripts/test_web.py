#!/usr/bin/env python3
"""Compiles a recogniser of text to WebAssembly, puts the page of examples/web in front of it, and reads pictures.

    test_web.py --inkle INKLE --model ppocr4_rec.onnx PICTURE..         in a browser without a window; compares with PICTURE's .txt
    test_web.py --inkle INKLE --model ppocr4_rec.onnx --serve           the page, at the address that is printed
"""

import argparse
import functools
import html
import http.server
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inkle", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("pictures", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser and not arguments.serve:
        print("no browser is installed: the page is not tested")
        return
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        site(arguments, folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        address = f"http://127.0.0.1:{server.server_port}/"
        if arguments.serve:
            print(address)
            server.serve_forever()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wrong = [picture for picture in arguments.pictures if not reads(browser, address, picture)]
        server.shutdown()
        sys.exit(bool(wrong))


def site(arguments, folder):
    """The page, its scripts, the artefact and the pictures."""
    for file in [*(ROOT / "examples" / "web").iterdir(), ROOT / "examples" / "node" / "artefact.mjs", *arguments.pictures]:
        shutil.copy(file, folder)
    subprocess.run([arguments.inkle, "compile", arguments.model, "--target", "wasm32", "-o", folder / "model"], check=True, stdout=subprocess.DEVNULL)


def reads(browser, address, picture):
    """Whether the page shows the text of the picture."""
    page = f"{address}?picture={urllib.parse.quote(picture.name)}"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom", page]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    shown = {key: html.unescape(text) for key, text in re.findall(r'id="(text|time)">([^<]*)<', dom)}
    wanted = picture.with_suffix(".txt").read_text().strip()
    print(f"{picture.name}: {shown.get('text')} ({shown.get('time')})")
    return shown.get("text") == wanted


if __name__ == "__main__":
    main()
