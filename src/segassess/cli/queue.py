"""`segassess queue DIR`: a queue of the worst tiles for a labelling tool, from what predict.py left in DIR."""

import argparse
import json
import sys
from pathlib import Path

from segassess.errors import SegAssessError

FORMATS = ("label_studio", "fiftyone")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="segassess queue", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="output_dir of predict.py")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="what is written (default: %(default)s)")
    parser.add_argument("--to", type=Path, metavar="QUEUE", help="folder of the queue (default: DIR/<format>)")
    parser.add_argument("--image", help="image, folder or pattern, as predict.py was given it (default: as its run.json says)")
    parser.add_argument("--most", type=_number, default=500, metavar="N", help="at most N tiles (default: %(default)s)")
    parser.add_argument("--errors", type=_number, default=100, metavar="N", help="at most N errors a tile (default: %(default)s)")
    parser.add_argument(
        "--simplify", type=float, default=1.0, metavar="PX", help="outlines may be off by so many pixels (default: %(default)s)"
    )
    parser.add_argument("--image-url", metavar="URL", help="where Label Studio finds the queue's folder (default: local files)")
    options = parser.parse_args(arguments)
    # After the options, so that --help answers at once.
    from segassess.outputs.review_queue.fiftyone import write_fiftyone
    from segassess.outputs.review_queue.label_studio import write_label_studio
    from segassess.outputs.review_queue.tasks import make_tasks

    queue: Path = options.to or options.folder / options.format
    try:
        tasks = make_tasks(
            options.folder, queue, options.image, most=options.most, errors=options.errors, simplify_px=options.simplify
        )
        model = f"segassess {json.loads((options.folder / 'run.json').read_text(encoding='utf-8'))['checkpoint_digest']}"
        if options.format == "fiftyone":
            written = write_fiftyone(queue, tasks, model)
        else:
            written = write_label_studio(queue, tasks, model, options.image_url)
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{len(tasks)} tiles, worst first: {', '.join(map(str, written))}")


def _number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


if __name__ == "__main__":
    main()
