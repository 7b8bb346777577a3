"""Search photographs in an object store and keep the run there, too; credentials come from the environment.

With ``scorefold[s3]`` installed, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION set::

    python workflows/s3.py --url s3://bucket/prefix

Servers other than Amazon's are named by AWS_ENDPOINT_URL; one without TLS needs AWS_ALLOW_HTTP=true as well.
"""

import argparse
import tempfile
from pathlib import Path

import obstore
from obstore.store import from_url

import scorefold
from scorefold.demo import coin_scene


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--url", required=True, help="where data and results go, such as s3://bucket/prefix; must be new"
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--step", type=float, default=6.0, help="angular step in degrees")
    arguments = parser.parse_args()
    url = arguments.url.rstrip("/")

    # Your own images are there already.
    with tempfile.TemporaryDirectory() as folder:
        scene = coin_scene(Path(folder))
        store = from_url(url)
        for path in scene.targets[:2]:
            obstore.put(store, f"images/{path.name}", path)
        obstore.put(store, "part.png", scene.template)

    found = scorefold.match(
        f"{url}/images/*.png",
        f"{url}/part.png",
        out=f"{url}/run",
        workers=arguments.workers,
        mask="disk",
        mask_radius=22,
        step=arguments.step,
        threshold=0.6,
    )
    print(found.picks[["target", "rank", "score", "y", "x", "angle"]].to_string(index=False))

    # Any machine with the credentials opens the run, goes on with it, or reads a part of a score map.
    again = scorefold.open_run(f"{url}/run")
    name = again.picks["target"].iloc[0]
    print(f"highest score in the first rows of {name}: {again.scores[name][:64].max():.3f}")
    print(f"{len(again.picks)} picks; go on with: scorefold resume {url}/run")


# Worker processes are spawned: a script that starts them needs this guard.
if __name__ == "__main__":
    main()
