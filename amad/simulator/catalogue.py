"""What the simulator can measure: every channel's sensor, and the three kinds of vehicle.

Channel names are those of the COVESA Vehicle Signal Specification, release 4. Currents are
positive into the battery, as it says there.
"""

from dataclasses import dataclass

KINDS = ("ice", "bev", "van")  # combustion car, battery car, diesel delivery van

SPEED = "Vehicle.Speed"
PEDAL = "Vehicle.Chassis.Accelerator.PedalPosition"
BRAKE = "Vehicle.Chassis.Brake.PedalPosition"
STEERING = "Vehicle.Chassis.SteeringWheel.Angle"
LATERAL = "Vehicle.Acceleration.Lateral"
TYRES = tuple(
    f"Vehicle.Chassis.Axle.Row{row}.Wheel.{side}.Tire.Pressure"
    for row in (1, 2)
    for side in ("Left", "Right")
)
VOLTAGE = "Vehicle.LowVoltageBattery.CurrentVoltage"
CURRENT = "Vehicle.LowVoltageBattery.CurrentCurrent"
AIR = "Vehicle.Exterior.AirTemperature"
ODOMETER = "Vehicle.TraveledDistance"
ENGINE_SPEED = "Vehicle.Powertrain.CombustionEngine.Speed"
ENGINE_TORQUE = "Vehicle.Powertrain.CombustionEngine.Torque"
COOLANT = "Vehicle.Powertrain.CombustionEngine.ECT"
OIL = "Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature"
GEAR = "Vehicle.Powertrain.Transmission.CurrentGear"
FUEL = "Vehicle.OBD.FuelRate"
MOTOR_SPEED = "Vehicle.Powertrain.ElectricMotor.Speed"
MOTOR_TORQUE = "Vehicle.Powertrain.ElectricMotor.Torque"
MOTOR_TEMPERATURE = "Vehicle.Powertrain.ElectricMotor.Temperature"
MOTOR_COOLANT = "Vehicle.Powertrain.ElectricMotor.CoolantTemperature"
CHARGE = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"
TRACTION_CURRENT = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"
TRACTION_VOLTAGE = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """How one channel is measured, in its unit.

    noise: standard deviation of the white noise. step: of the quantisation. low, high: where the
    sensor saturates. spread: typical standard deviation over a day, the unit of fault strengths.
    zero: reads exactly zero where the quantity is zero. faulty: sensor faults may strike it.
    """

    noise: float
    step: float
    low: float
    high: float
    spread: float
    zero: bool = False
    faulty: bool = True


_SHARED = {
    SPEED: Sensor(noise=0.12, step=0.1, low=0, high=250, spread=35, zero=True),
    PEDAL: Sensor(noise=0.4, step=0.4, low=0, high=100, spread=15, zero=True),
    BRAKE: Sensor(noise=0.3, step=0.4, low=0, high=100, spread=4.5, zero=True),
    STEERING: Sensor(noise=0.4, step=0.1, low=-720, high=720, spread=20),
    LATERAL: Sensor(noise=0.05, step=0.01, low=-20, high=20, spread=0.65),
    **{tyre: Sensor(noise=0.25, step=0.5, low=0, high=700, spread=4.5) for tyre in TYRES},
    VOLTAGE: Sensor(noise=0.02, step=0.01, low=6, high=18, spread=0.3),
    CURRENT: Sensor(noise=0.5, step=0.1, low=-300, high=300, spread=8),
    AIR: Sensor(noise=0.08, step=0.5, low=-40, high=60, spread=1.8),
    ODOMETER: Sensor(noise=0, step=0.1, low=0, high=2_000_000, spread=20, faulty=False),
}
_COMBUSTION = {
    ENGINE_SPEED: Sensor(noise=8, step=1, low=0, high=8000, spread=650, zero=True),
    ENGINE_TORQUE: Sensor(noise=1.5, step=1, low=-200, high=600, spread=55, zero=True),
    COOLANT: Sensor(noise=0.15, step=0.5, low=-40, high=150, spread=8),
    OIL: Sensor(noise=0.15, step=0.5, low=-40, high=180, spread=10),
    GEAR: Sensor(noise=0, step=1, low=0, high=8, spread=1.7, faulty=False),
    FUEL: Sensor(noise=0.06, step=0.05, low=0, high=80, spread=4.4, zero=True),
}
_ELECTRIC = {
    MOTOR_SPEED: Sensor(noise=8, step=1, low=0, high=16000, spread=3300, zero=True),
    MOTOR_TORQUE: Sensor(noise=1.2, step=1, low=-300, high=450, spread=33),
    MOTOR_TEMPERATURE: Sensor(noise=0.15, step=0.5, low=-40, high=180, spread=12),
    MOTOR_COOLANT: Sensor(noise=0.15, step=0.5, low=-40, high=120, spread=5),
    CHARGE: Sensor(noise=0.02, step=0.1, low=0, high=100, spread=7),
    TRACTION_CURRENT: Sensor(noise=0.6, step=0.1, low=-600, high=600, spread=55),
    TRACTION_VOLTAGE: Sensor(noise=0.3, step=0.1, low=200, high=500, spread=7),
}
SENSORS: dict[str, dict[str, Sensor]] = {
    "ice": _SHARED | _COMBUSTION,
    "bev": _SHARED | _ELECTRIC,
    "van": _SHARED | _COMBUSTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The physical constants of one kind of vehicle; SI units where none is named.

    drag: drag coefficient times frontal area. rolling: rolling resistance coefficient. ratios: of
    the gears times the final drive. upshift: km/h at which the next gear is taken. torque: the
    greatest, Nm. loss: friction of the engine, Nm at standstill and per rpm. efficiency:
    indicated (engine) or of motor and inverter. litre: MJ in a litre of fuel. heat: kJ/K of block
    and coolant. tyre_kpa: cold pressure of front and rear. blocks: how often each drive mode of
    ``cycle`` is chosen (parked, idle, city, rural, motorway). motorway_kmh: cruising speeds.
    """

    mass: float
    drag: float
    rolling: float = 0.010
    wheel_radius: float = 0.31
    wheelbase: float = 2.65
    steering_ratio: float = 15.5
    understeer: float = 0.003  # s^2/m, steering beyond the geometric angle per lateral speed square
    ratios: tuple[float, ...]
    upshift: tuple[float, ...] = ()
    idle_rpm: float = 0
    torque: float
    loss: tuple[float, float] = (0, 0)
    efficiency: float
    litre: float = 0
    heat: float = 45
    tyre_kpa: tuple[float, float]
    blocks: tuple[float, float, float, float, float]
    motorway_kmh: tuple[float, float] = (100, 135)
    battery_kwh: float = 0


MODELS = {
    "ice": Model(
        mass=1420, drag=0.66, ratios=(13.6, 7.6, 5.1, 3.8, 3.1, 2.55),
        upshift=(19, 36, 54, 74, 98), idle_rpm=780, torque=240, loss=(11, 0.006),
        efficiency=0.37, litre=32.0, heat=45, tyre_kpa=(230, 220),
        blocks=(0.03, 0.09, 0.48, 0.22, 0.18),
    ),
    "bev": Model(
        mass=1890, drag=0.60, ratios=(9.4,), torque=330, efficiency=0.92, heat=20,
        wheel_radius=0.33, wheelbase=2.77, tyre_kpa=(250, 260),
        blocks=(0.04, 0.06, 0.50, 0.24, 0.16), battery_kwh=62,
    ),
    "van": Model(
        mass=2650, drag=1.65, rolling=0.011, ratios=(16.5, 8.9, 5.7, 4.1, 3.2, 2.7),
        upshift=(17, 32, 50, 70, 92), idle_rpm=820, torque=370, loss=(18, 0.009),
        efficiency=0.41, litre=35.8, heat=70, wheel_radius=0.34, wheelbase=3.66,
        steering_ratio=17.0, tyre_kpa=(320, 390), blocks=(0.22, 0.10, 0.49, 0.12, 0.07),
        motorway_kmh=(88, 118),
    ),
}  # fmt: skip


def kind_of(vehicle: str) -> str:
    """The kind of a simulated vehicle, from its id: ``bev-02`` is a ``bev``."""
    return vehicle.rsplit("-", 1)[0]
