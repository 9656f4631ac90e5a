"""Django against a node: migrations, queries as the admin makes them, inspectdb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.node_process import NodeProcess

pytest.importorskip("django")

SETTINGS = """
import os
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "heliosdb", "USER": "tester",
                         "HOST": "127.0.0.1", "PORT": os.environ["NODE_PORT"]}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"]
SECRET_KEY = "secret"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "America/Chicago"
"""

MODELS = """
from django.db import models

class Maker(models.Model):
    name = models.CharField(max_length=40, unique=True)

class Product(models.Model):
    maker = models.ForeignKey(Maker, models.CASCADE, related_name="products")
    name = models.CharField(max_length=40, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    made_at = models.DateTimeField()
    data = models.JSONField(default=dict)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(price__gt=0), name="price_positive"),
                       models.UniqueConstraint(fields=["maker", "name"], name="one_name")]
"""

WORK = """
from datetime import UTC, datetime
from decimal import Decimal
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Count, F, Q, Window
from django.db.models.functions import Rank, TruncMonth
from shop.models import Maker, Product

makers = Maker.objects.bulk_create([Maker(name=name) for name in ("acme", "brown")])
assert [maker.pk for maker in makers] == [1, 2]
Product.objects.bulk_create([
    Product(maker=makers[n % 2], name=f"p{n}", price=Decimal(n + 1) / 2, data={"n": n, "tags": ["x"]},
            made_at=datetime(2024, 1 + n % 3, 1, 5, tzinfo=UTC)) for n in range(12)
])
dear = Product.objects.filter(maker__name__icontains="ACME", price__gte=3).order_by("-price")
assert [product.name for product in dear] == ["p10", "p8", "p6"]
months = Product.objects.annotate(month=TruncMonth("made_at")).values("month").annotate(n=Count("id")).order_by("month")
assert [(one["month"].strftime("%Y-%m-%d %z"), one["n"]) for one in months] == [
    ("2023-12-01 -0600", 4), ("2024-01-01 -0600", 4), ("2024-02-01 -0600", 4)]
assert Product.objects.filter(data__n__lt=3, data__tags__contains=["x"]).count() == 3
place = Window(Rank(), partition_by=F("maker"), order_by=F("price").desc())
assert sorted(one.name for one in Product.objects.annotate(place=place).filter(place=1)) == ["p10", "p11"]
assert Maker.objects.annotate(a=Avg("products__price")).order_by("pk").values_list("a", flat=True)[0] == Decimal("3")
made, is_new = Maker.objects.get_or_create(name="acme")
assert not is_new
assert Product.objects.filter(Q(name="p1") | Q(name="p2")).update(price=F("price") + 1) == 2
try:
    with transaction.atomic():
        Product.objects.create(maker=makers[0], name="p0", price=1, made_at=datetime.now(UTC))
    raise SystemExit("the constraint does not hold")
except IntegrityError as error:
    assert "one_name" in str(error), error
try:
    with transaction.atomic():
        Product.objects.filter(name="p3").update(maker_id=99)
        connection.check_constraints()
    raise SystemExit("the deferred key was not checked")
except IntegrityError:
    pass
User.objects.create_superuser("root", "root@example.org", "secret")
with transaction.atomic():
    assert User.objects.select_for_update().get(is_superuser=True).username == "root"
assert [one.name for one in Maker.objects.raw("SELECT * FROM shop_maker ORDER BY name DESC")] == ["brown", "acme"]
assert len(list(Product.objects.order_by("pk").iterator(chunk_size=5))) == 12
makers[0].delete()
assert Product.objects.count() == 6
"""

INSPECTED = """
class ShopProduct(models.Model):
    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=40)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    made_at = models.DateTimeField()
    data = models.JSONField()
    maker = models.ForeignKey(ShopMaker, models.DO_NOTHING)

    class Meta:
        managed = False
        db_table = 'shop_product'
        unique_together = (('maker', 'name'),)
"""


def test_migrations_queries_and_inspectdb(server: NodeProcess, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "migrations").mkdir(parents=True)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (package / "models.py").write_text(MODELS)
    for init in (package / "__init__.py", package / "migrations" / "__init__.py"):
        init.write_text("")

    def run(*commands: str) -> str:
        """Run management commands, and Python after them, in one process."""
        lines = [
            "import django",
            "from django.core.management import call_command as call",
            "django.setup()",
            *commands,
        ]
        environment: dict[str, Any] = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "site_settings", "NODE_PORT": str(server.pg_port),
            "PYTHONPATH": str(tmp_path),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, env=environment, text=True, capture_output=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    applied = run('call("makemigrations", "shop")', 'call("migrate", no_color=True)', WORK)
    assert "Applying shop.0001_initial... OK" in applied
    assert "Applying auth.0012_alter_user_first_name_max_length... OK" in applied
    (package / "models.py").write_text(
        MODELS.replace("max_length=40, db_index=True", "max_length=60").replace(
            "    data =", "    note = models.TextField(null=True)\n    data ="
        )
    )
    changed = run(
        'call("makemigrations", "shop", name="second")',
        'call("migrate", "shop", no_color=True)',
        'call("makemigrations", dry_run=True)',
        'call("migrate", "shop", "0001", no_color=True)',
        'call("inspectdb", "shop_maker", "shop_product")',
        'call("migrate", "shop", "zero", no_color=True)',
    )
    assert "No changes detected" in changed
    assert INSPECTED in changed
