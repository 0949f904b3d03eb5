"""Writes and executes `digits.ipynb`, on the embedded cloud of this machine.

The cells stand here, so that they can be read and changed as text; outputs come from a real run.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).parent
PATH = HERE / "digits.ipynb"
CODE = ">>>\n"
"""What a cell of code starts with; the others are text."""
CELLS = [
    "# Handwritten digits on SageMaker, tried on this machine\n\n"
    "Written and run by `make_notebook.py`. Drop `emulated=True` to use your AWS account.",
    """>>>
from train import train

from clouddeploy import Autoscaling, Compute, Deployer, Model, notebook

net, images, labels = train()
model = Model.from_torch(net, example_input=images[:1], handler="handler.py", format="state_dict")
model""",
    "A plan draws itself; nothing has been created yet.",
    """>>>
sagemaker = Deployer("sagemaker", region="eu-west-1", emulated=True)
wish = {
    "compute": Compute(instance="ml.m5.large"),
    "autoscaling": Autoscaling(min=1, max=4, requests_per_minute=600),
}
sagemaker.plan(model, "digits-notebook", **wish)""",
    "So does the progress of a deploy, and an endpoint.",
    """>>>
endpoint = sagemaker.deploy(model, "digits-notebook", on_event=notebook.progress(), **wish)
endpoint""",
    """>>>
share = (endpoint.predict(images).argmax(axis=1) == labels).mean()
print(f"{share:.1%} of {len(labels)} held-out images are right")""",
    "The same again is nothing to do.",
    """>>>
sagemaker.plan(model, "digits-notebook", **wish)""",
    "Everything that belongs to the deployment goes with it.",
    """>>>
endpoint.delete()
sagemaker.list()""",
]


def build() -> NotebookNode:
    """The notebook without outputs."""
    cells = [
        new_code_cell(text.removeprefix(CODE), id=f"cell-{number}")
        if text.startswith(CODE)
        else new_markdown_cell(text, id=f"cell-{number}")
        for number, text in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def execute(notebook: NotebookNode, folder: Path, timeout_s: int = 200) -> NotebookNode:
    """Run every cell in `folder`, and drop what differs from run to run without a meaning."""
    client = NotebookClient(
        notebook, timeout=timeout_s, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Write the executed notebook beside this file, and stop the embedded cloud if this started it."""
    from clouddeploy.emulator import connection

    was_running = connection.running() is not None
    try:
        nbformat.write(execute(build(), HERE), PATH)
    finally:
        if not was_running:
            connection.stop()
    print(f"wrote {PATH.name} ({PATH.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
